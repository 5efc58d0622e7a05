/** What the page knows; components show it, and nothing else keeps anything. */

import { batch, computed, effect, signal } from "@preact/signals";
import { Connection, type State } from "./connection";
import { bounded, fit, seen, type Size, type View } from "./geometry";
import { History, Rates } from "./history";
import { ask } from "./requests";
import { settings } from "./settings";
import {
  type Acquisition,
  type Box,
  extent,
  type Picture,
  type Pixel,
  type Report,
  type Wish,
} from "./wire";

/** Regions that are summed at most. */
export const MAX_REGIONS = 8;
const HISTORY = 600;
const BINS = 128;
const TOKEN = "srx.token";
/** Of a picture: larger ones take a browser too long. */
const MAX_SIDE = 2048;
const LIST_EVERY_MS = 15_000;

export interface Region {
  id: string;
  box: Box;
}

export const connection = signal<{ state: State; words: string }>({
  state: "connecting",
  words: "",
});
export const picture = signal<Picture | null>(null);
export const report = signal<Report | null>(null);
export const complaint = signal("");
export const acquisitions = signal<Acquisition[] | null>(null);
export const detector = signal<Record<string, unknown>>({});
export const token = signal(keptToken());

export const isPaused = signal(false);
export const cursor = signal<Pixel | null>(null);
export const regions = signal<readonly Region[]>([]);
/** Of the canvas, in pixels of CSS; and how many of the screen make one. */
export const size = signal<Size>([1, 1]);
export const density = signal(1);
/** Null: all of the frame, whatever its shape. */
const chosen = signal<View | null>(null);

/** Counts up with each picture and report, for plots. */
export const ticks = signal({ picture: 0, report: 0 });
export const sums = new History(HISTORY);
export const figures = new History(HISTORY);
const rates = new Rates();

/** Rows and columns of the last frame that could be shown. */
export const frame = signal<Pixel>([1, 1]);
export const view = computed<View>(() =>
  chosen.value ? bounded(chosen.value, frame.value, size.value) : fit(frame.value, size.value),
);
export const isWhole = computed(() => chosen.value === null);

export function look(at: View | null): void {
  chosen.value = at && bounded(at, frame.value, size.value);
}

const wish = computed<Wish>(() => {
  const { scale, isAuto, low, high, percentiles, rate_hz } = settings.value;
  const [height, width] = size.value.map((side) => Math.ceil(side * density.value * 1.4));
  return {
    rate_hz,
    max_rows: Math.min(height ?? 1, MAX_SIDE),
    max_columns: Math.min(width ?? 1, MAX_SIDE),
    region: picture.value ? seen(view.value, frame.value, size.value) : null,
    scale,
    low: isAuto ? null : low,
    high: isAuto ? null : high,
    percentiles,
    cursor: cursor.value,
    sums: regions.value.map((region) => region.box),
    histogram: BINS,
    paused: isPaused.value,
  };
});

const line = new Connection(
  {
    state: (state, words) => {
      connection.value = { state, words };
      if (state === "open") void refresh();
      else rates.forget();
    },
    picture: took,
    report: reported,
    complaint: (words) => (complaint.value = words),
  },
  wish.peek(),
  () => token.value,
);

function took(next: Picture): void {
  const at_s = Date.now() / 1000;
  batch(() => {
    const { told } = next;
    const isNew = told.serial !== picture.value?.told.serial;
    picture.value = next;
    complaint.value = "";
    if (told.rows) reshape(extent(told.shape));
    if (isNew && told.sums.length) sums.add(at_s, named(told.sums));
    ticks.value = { ...ticks.value, picture: ticks.value.picture + 1 };
  });
}

/** Another shape: regions and what was looked at are of another detector. */
function reshape([rows, columns]: Pixel): void {
  if (frame.value[0] === rows && frame.value[1] === columns) return;
  frame.value = [rows, columns];
  chosen.value = null;
  cursor.value = null;
  regions.value = regions.value.filter(({ box }) => box[2] <= rows && box[3] <= columns);
}

/** What the sums of a region are kept as: of another box they are others. */
export function keyOf({ id, box }: Region): string {
  return `${id} ${box.join()}`;
}

/** Sums by the region's key: in the answer a region is told by its corners. */
function named(told: Picture["told"]["sums"]): Record<string, number | null> {
  const found: Record<string, number | null> = {};
  for (const region of regions.value) {
    const sum = told.find((other) => other.region.join() === region.box.join());
    if (sum) found[keyOf(region)] = sum.sum;
  }
  return found;
}

function reported(next: Report): void {
  const before = report.value;
  const { metrics, time } = next;
  const number = (name: string) => (typeof metrics[name] === "number" ? metrics[name] : 0);
  const counts = next.acquisition?.counts ?? {};
  const limit = number("buffer_limit");
  const grown = rates.of(time, {
    received: number("images"),
    bytes: number("image_bytes"),
    [`written ${next.acquisition?.id ?? ""}`]: counts.written ?? 0,
  });
  const written = grown[`written ${next.acquisition?.id ?? ""}`] ?? null;
  figures.add(Date.now() / 1000, {
    received: grown.received ?? null,
    bytes: grown.bytes ?? null,
    written,
    queue: limit ? (100 * number("queued_bytes")) / limit : null,
    forwarding: limit ? (100 * number("forward_queued_bytes")) / limit : null,
  });
  batch(() => {
    report.value = next;
    ticks.value = { ...ticks.value, report: ticks.value.report + 1 };
  });
  const isOther = (a: Acquisition | null | undefined) => `${a?.id} ${a?.state}`;
  if (isOther(before?.acquisition) !== isOther(next.acquisition)) void refresh();
}

/** Ask for what is not told by itself. */
async function refresh(): Promise<void> {
  try {
    const list = await ask<{ acquisitions: Acquisition[] }>(
      "api/v1/acquisitions?limit=50",
      token.value,
    );
    acquisitions.value = list.acquisitions;
    detector.value = await ask("api/v1/detector", token.value);
  } catch (error) {
    // the connection tells why nobody answers; what was known stays
    console.info("srx: no list of acquisitions:", error);
  }
}

export function useToken(text: string): void {
  token.value = text;
  try {
    sessionStorage.setItem(TOKEN, text);
  } catch {
    // asked for again by the next page
  }
  line.open();
}

function keptToken(): string {
  try {
    return sessionStorage.getItem(TOKEN) ?? "";
  } catch {
    return "";
  }
}

export function retry(): void {
  line.open();
}

/** Connect, and stay connected while the page can be seen. */
export function start(): void {
  let timer = 0;
  line.want(wish.peek());
  effect(() => {
    const wanted = wish.value;
    clearTimeout(timer);
    timer = window.setTimeout(() => line.want(wanted), 40);
  });
  const wake = () => (document.hidden ? line.sleep() : line.open());
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("online", () => document.hidden || line.open());
  window.setInterval(() => {
    if (!document.hidden && connection.value.state === "open") void refresh();
  }, LIST_EVERY_MS);
  wake();
}
