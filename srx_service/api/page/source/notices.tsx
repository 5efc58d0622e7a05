/** What a person should know before looking at anything else. */

import { useSignal } from "@preact/signals";
import { complaint, connection, detector, report, retry, token, useToken } from "./state";
import { worries } from "./words";

/** Shown once a connection has been lost: not in the moment it takes to open one. */
export function Notices() {
  const { state, words } = connection.value;
  const told = report.value;
  const found = told && state === "open" ? worries(told.status, told.acquisition) : [];
  return (
    <div class="notices">
      <div role="alert">
        {state === "lost" && (
          <Lost words={words} />
        )}
        {found.map(({ level, text }) => (
          <p key={text} class={`notice ${level}`}>
            {text}
          </p>
        ))}
        {complaint.value && <p class="notice warning">{complaint.value}</p>}
      </div>
      {state === "refused" && <AskForToken words={words} />}
    </div>
  );
}

function Lost({ words }: { words: string }) {
  return (
    <p class="notice error lost">
      <span>
        <b>Service not reachable, trying again.</b>{" "}
        {words || "What is shown is what was known last."}
      </span>
      <button type="button" class="plain" onClick={retry}>
        Try now
      </button>
    </p>
  );
}

function AskForToken({ words }: { words: string }) {
  const text = useSignal(token.value);
  return (
    <form
      class="notice warning token"
      onSubmit={(event) => {
        event.preventDefault();
        useToken(text.value.trim());
      }}
    >
      <label>
        <b>{token.value ? "This token is not accepted." : "This service asks for a token."}</b>
        <span class="quiet">{words}</span>
        <input
          type="password"
          name="token"
          autocomplete="current-password"
          required
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      <button type="submit">Use token</button>
    </form>
  );
}

const CONNECTION: Record<string, string> = {
  connecting: "connecting",
  open: "live",
  lost: "not reachable",
  refused: "token needed",
  asleep: "asleep",
};

export function Head() {
  const { state } = connection.value;
  const line = report.value?.status.state;
  return (
    <header class="head">
      <h1>
        <img src="page/icon.svg" width="26" height="26" alt="" /> srx
        <span class="host">
          {[detector.value.name, location.host].filter(Boolean).join(" · ")}
        </span>
      </h1>
      <p role="status" class="states">
        {line && state === "open" && (
          <span class={`badge ${line}`} data-test="state">
            {line}
          </span>
        )}
        <span class={`connection ${state}`} data-test="connection">
          {CONNECTION[state]}
        </span>
      </p>
    </header>
  );
}
