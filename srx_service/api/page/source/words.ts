/** Numbers and states as people read them. */

import type { Acquisition, Counts, Status } from "./wire";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const PREFIXES = ["", "k", "M", "G", "T", "P"];

export function count(number: number): string {
  return whole.format(number);
}

/** A pixel's value: counts in full, others to some digits. */
export function value(number: number): string {
  if (Number.isInteger(number) && Math.abs(number) < 1e15) return whole.format(number);
  const size = Math.abs(number);
  return size && (size < 1e-3 || size >= 1e9) ? number.toExponential(3) : short.format(number);
}

/** With a prefix: 1500000 bytes are 1.5 MB. */
export function scaled(number: number, unit = ""): string {
  let power = 0;
  while (Math.abs(number) >= 1000 && power < PREFIXES.length - 1) {
    number /= 1000;
    power += 1;
  }
  const digits = number !== 0 && Math.abs(number) < 9.95 && !Number.isInteger(number) ? 1 : 0;
  const tail = `${PREFIXES[power]}${unit}`;
  return tail ? `${number.toFixed(digits)} ${tail}` : number.toFixed(digits);
}

export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function clock(posix_s: number): string {
  const time = new Date(posix_s * 1000);
  const isToday = time.toDateString() === new Date().toDateString();
  const text = time.toLocaleTimeString("en-GB");
  return isToday ? text : `${time.toLocaleDateString("en-CA")} ${text}`;
}

export function nameOfFile(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What became of images that are not in the file as they should be, worst first. */
const LOSSES: Record<string, string> = {
  missing: "missing",
  short: "short",
  rejected: "rejected",
  unsaved: "unsaved",
};
const OTHERS = ["discarded", "late", "duplicate", "stale", "surplus", "rewound"];

export function losses(counts: Counts): string[] {
  return Object.keys(LOSSES).flatMap((name) => named(counts, name));
}

/** What was left out on purpose or came twice. */
export function leftOut(counts: Counts): string[] {
  return OTHERS.flatMap((name) => named(counts, name));
}

function named(counts: Counts, name: string): string[] {
  const number = counts[name] ?? 0;
  return number ? [`${count(number)} ${name}`] : [];
}

/** How many images there will be, as a client said or the detector announced. */
export function goal(acquisition: Acquisition): number | null {
  return acquisition.expected ?? acquisition.announced;
}

export interface Worry {
  level: "error" | "warning";
  text: string;
}

/** All that a person should look at. */
export function worries(status: Status, acquisition: Acquisition | null): Worry[] {
  const found: Worry[] = [];
  const add = (level: Worry["level"], text: string | null | undefined) => {
    if (text && !found.some((worry) => worry.text === text)) found.push({ level, text });
  };
  if (status.state === "error") add("error", status.error ?? "the service is in state error");
  add("error", acquisition?.error);
  if (status.held) add("warning", `Reading is held: ${status.held_reason ?? "a buffer is full"}`);
  add("warning", status.disk_warning);
  add("warning", status.journal);
  add("warning", status.note);
  if (acquisition) {
    const lost = losses(acquisition.counts);
    if (lost.length) {
      add("warning", `Frames of the newest acquisition are not in its file: ${lost.join(", ")}`);
    }
  }
  return found;
}

/** What was counted since the service started and is no good sign. */
export function blemishes(status: Status): string[] {
  const found = Object.entries(status.undecodable ?? {}).map(
    ([kind, number]) => `${count(number)} messages not understood: ${kind}`,
  );
  if (status.decoder_faults) found.push(`${count(status.decoder_faults)} decoder faults`);
  if (status.lost) found.push(`${count(status.lost)} messages of the stream never came`);
  if (status.orphans) found.push(`${count(status.orphans)} images without a header`);
  if (status.held_s && status.held_s >= 1) found.push(`reading held for ${duration(status.held_s)}`);
  return found;
}
