/** What `WS /api/v1/view` sends and takes; docs/reference/http-api.md tells it in full. */

/** Half-open, in pixels of the frame: y0, x0, y1, x1. */
export type Box = readonly [number, number, number, number];
/** y, x of a pixel of the frame. */
export type Pixel = readonly [number, number];
export type Scale = "linear" | "log" | "sqrt";

/** What the server is to make; it keeps what a message does not name. */
export interface Wish {
  rate_hz: number;
  max_rows: number;
  max_columns: number;
  region: Box | null;
  scale: Scale;
  low: number | null;
  high: number | null;
  percentiles: readonly [number, number];
  cursor: Pixel | null;
  sums: readonly Box[];
  histogram: number;
  paused: boolean;
}

export interface Sum {
  region: Box;
  sum: number | null;
  counted: number;
  masked: number;
  max: number | null;
}

export interface Histogram {
  low: number;
  high: number;
  /** What is beyond is in the last one. */
  counts: number[];
  masked: number;
  /** Every so manieth pixel is counted. */
  step: number;
}

/** What comes with a picture. */
export interface Told {
  serial: number;
  header: { frame?: number; series?: number; acquisition?: string; row?: number };
  shape: number[];
  dtype: string | null;
  region: Box;
  step: number;
  rows: number;
  columns: number;
  low: number;
  high: number;
  cursor: { y: number; x: number; value: number | null } | null;
  sums: Sum[];
  histogram: Histogram | null;
  error?: string;
}

export interface Picture {
  told: Told;
  /** 0 to 254, row by row; MASKED where a pixel counts nothing. */
  levels: Uint8Array;
}

export const MASKED = 255;

export type Counts = Record<string, number>;

export interface Acquisition {
  id: string;
  origin: string;
  state: string;
  error: string | null;
  note?: string | null;
  file: string | null;
  shape: number[] | null;
  dtype: string | null;
  expected: number | null;
  announced: number | null;
  rows: number;
  counts: Counts;
  created_s: number;
  finished_s: number | null;
}

export interface Status {
  state: string;
  error?: string | null;
  note?: string | null;
  file?: string | null;
  acquisition?: string | null;
  held?: boolean;
  held_reason?: string | null;
  held_s?: number;
  undecodable?: Record<string, number>;
  decoder_faults?: number;
  orphans?: number;
  lost?: number;
  clients?: number;
  journal?: string | null;
  disk_free_bytes?: number | null;
  disk_warning?: string | null;
}

/** What comes once a second. */
export interface Report {
  status: Status;
  acquisition: Acquisition | null;
  metrics: Record<string, number | Record<string, number>>;
  /** POSIX seconds, by the server's clock. */
  time: number;
}

/** A binary message: the length of its JSON, the JSON, a byte for each pixel. */
export function decode(message: ArrayBuffer): Picture {
  const length = new DataView(message).getUint32(0, true);
  const told: Told = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 4, length)));
  const levels = new Uint8Array(message, 4 + length);
  if (levels.length !== told.rows * told.columns) throw new RangeError("a picture cut short");
  return { told, levels };
}

/** Rows and columns of a frame on the screen: several channels stand one below another. */
export function extent(shape: readonly number[]): Pixel {
  const columns = shape[shape.length - 1] ?? 1;
  return [shape.slice(0, -1).reduce((product, size) => product * size, 1), columns];
}
