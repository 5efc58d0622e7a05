/** The WebSocket, kept open: over restarts of the service, sleep and slow links. */

import { Link } from "./link";
import { refusalOf } from "./requests";
import { decode, type Picture, type Report, type Wish } from "./wire";

export type State = "connecting" | "open" | "lost" | "refused" | "asleep";

/** Whom a connection tells. */
export interface Listener {
  state(state: State, words: string): void;
  picture(picture: Picture): void;
  report(report: Report): void;
  /** The server does not take a wish. */
  complaint(words: string): void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;
/** Reports come each second: whoever hears nothing for so long has been forgotten. */
const SILENCE_MS = 20_000;
const OPENING_MS = 10_000;

export class Connection {
  private socket: WebSocket | null = null;
  private waits_ms = FIRST_WAIT_MS;
  private timer = 0;
  private readonly link = new Link();
  private sent: Partial<Wish> = {};

  constructor(
    private readonly listener: Listener,
    private wish: Wish,
    private readonly tokenOf: () => string,
  ) {}

  /** Connect now, whatever was before; with it a new token is tried. */
  open(): void {
    this.drop();
    this.listener.state("connecting", "");
    const socket = new WebSocket(addressOf("api/v1/view"), protocols(this.tokenOf()));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let wasOpen = false;
    socket.onopen = () => {
      wasOpen = true;
      this.waits_ms = FIRST_WAIT_MS;
      this.listener.state("open", "");
      this.send();
      this.listen();
    };
    socket.onmessage = ({ data }) => {
      this.listen();
      this.take(data);
    };
    socket.onclose = () => {
      if (socket === this.socket) void this.closed(wasOpen);
    };
    this.await(OPENING_MS);
  }

  /** Close it, and ask for nothing until `open`. */
  sleep(): void {
    this.drop();
    this.listener.state("asleep", "");
  }

  /** Tell what is wanted from now on. */
  want(wish: Wish): void {
    this.wish = wish;
    if (this.socket?.readyState === WebSocket.OPEN) this.send();
  }

  private send(): void {
    const wish = {
      ...this.wish,
      rate_hz: this.wish.rate_hz * this.link.share,
      max_rows: Math.max(1, Math.round(this.wish.max_rows * this.link.share)),
      max_columns: Math.max(1, Math.round(this.wish.max_columns * this.link.share)),
    };
    const before = this.sent as Record<string, unknown>;
    const changes = Object.entries(wish).filter(
      ([key, value]) => JSON.stringify(before[key]) !== JSON.stringify(value),
    );
    if (!changes.length) return;
    this.sent = wish;
    this.socket?.send(JSON.stringify(Object.fromEntries(changes)));
  }

  private take(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      this.listener.picture(decode(data));
      return;
    }
    const told = JSON.parse(data);
    if ("error" in told) {
      this.listener.complaint(told.error);
      return;
    }
    const report = told as Report;
    this.listener.report(report);
    const before = this.link.share;
    if (!this.link.reported(report.time, Date.now() / 1000)) return;
    // what is on its way already would come for long: a new connection leaves it behind
    if (this.link.share < before) this.open();
    else this.send();
  }

  private listen(): void {
    this.await(SILENCE_MS);
  }

  private await(timeout_ms: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.link.shrink();
      this.drop();
      void this.closed(true);
    }, timeout_ms);
  }

  private drop(): void {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    this.sent = {};
    if (socket) {
      socket.onmessage = null;
      socket.close();
    }
  }

  /** A browser does not tell a page why a WebSocket was refused: a request does. */
  private async closed(wasOpen: boolean): Promise<void> {
    this.drop();
    const again_ms = this.waits_ms * (0.75 + Math.random() / 2);
    this.waits_ms = Math.min(this.waits_ms * 1.6, LONGEST_WAIT_MS);
    this.link.restart();
    this.listener.state("lost", "");
    const asleep = this.timer = window.setTimeout(() => this.open(), again_ms);
    if (wasOpen) return;
    const refusal = await refusalOf("status", this.tokenOf());
    if (asleep !== this.timer || !refusal) return;  // another attempt goes on
    if (refusal.asksForToken) clearTimeout(this.timer);
    this.listener.state(refusal.asksForToken ? "refused" : "lost", refusal.words);
  }
}

function addressOf(path: string): string {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

/** A page cannot send headers with a WebSocket; this it can. */
function protocols(token: string): string[] {
  if (!token) return ["srx.view"];
  const bytes = new TextEncoder().encode(token);
  const text = btoa(String.fromCharCode(...bytes));
  const safe = text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["srx.view", `srx.token.${safe}`];
}
