/** Plain HTTP, beside the WebSocket. */

const TIMEOUT_MS = 10_000;

export interface Refusal {
  words: string;
  asksForToken: boolean;
}

/** Ask for JSON; raises where there is no good answer, with what it says. */
export async function ask<Answer>(path: string, token: string): Promise<Answer> {
  const answer = await request(path, token);
  if (!answer.ok) throw new Error(await wordsOf(answer));
  return answer.json();
}

/** Return why a request is refused; null where it is not, or nobody answers. */
export async function refusalOf(path: string, token: string): Promise<Refusal | null> {
  try {
    const answer = await request(path, token);
    if (answer.ok) return null;
    const asksForToken = answer.status === 401 || answer.status === 403;
    return { words: await wordsOf(answer), asksForToken };
  } catch {
    return null;
  }
}

function request(path: string, token: string): Promise<Response> {
  const headers: HeadersInit = token ? { Authorization: `Bearer ${token}` } : {};
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  return fetch(new URL(path, document.baseURI), { headers, signal, cache: "no-store" });
}

/** Errors are problem details (RFC 9457), and plain text before they reach the service. */
async function wordsOf(answer: Response): Promise<string> {
  const text = await answer.text();
  try {
    return JSON.parse(text).detail ?? text;
  } catch {
    return text || `${answer.status} ${answer.statusText}`;
  }
}
