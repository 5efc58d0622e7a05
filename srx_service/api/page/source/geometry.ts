/** Where pixels of the frame are on the screen: pure functions, no browser. */

import type { Box, Pixel } from "./wire";

/** What is in the middle of the canvas, and how large a pixel of the frame is there. */
export interface View {
  y: number;
  x: number;
  /** Pixels of the screen for one of the frame. */
  scale: number;
}

/** Height and width, in pixels of the screen. */
export type Size = Pixel;

const LARGEST = 64;
const MARGIN = 0.02;
/** Asked for beyond what is seen, so that a small pan shows no edge. */
const SPARE = 0.15;

/** The whole frame. */
export function fit(frame: Pixel, size: Size): View {
  const scale = Math.min(size[0] / frame[0], size[1] / frame[1]) * (1 - MARGIN);
  return { y: frame[0] / 2, x: frame[1] / 2, scale: Math.max(scale, 1e-6) };
}

/** Keep the middle within the frame, and the scale between too small and too large. */
export function bounded(view: View, frame: Pixel, size: Size): View {
  const least = Math.min(fit(frame, size).scale, 1);
  return {
    y: Math.min(Math.max(view.y, 0), frame[0]),
    x: Math.min(Math.max(view.x, 0), frame[1]),
    scale: Math.min(Math.max(view.scale, least), LARGEST),
  };
}

/** Zoom so that what is under a point of the screen stays there. */
export function zoomed(view: View, factor: number, at: Pixel, size: Size): View {
  const [y, x] = toFrame(view, at, size);
  const scale = view.scale * factor;
  return { y: y - (at[0] - size[0] / 2) / scale, x: x - (at[1] - size[1] / 2) / scale, scale };
}

export function panned(view: View, down: number, right: number): View {
  return { ...view, y: view.y - down / view.scale, x: view.x - right / view.scale };
}

export function toFrame(view: View, at: Pixel, size: Size): Pixel {
  return [
    view.y + (at[0] - size[0] / 2) / view.scale,
    view.x + (at[1] - size[1] / 2) / view.scale,
  ];
}

export function toScreen(view: View, at: Pixel, size: Size): Pixel {
  return [
    (at[0] - view.y) * view.scale + size[0] / 2,
    (at[1] - view.x) * view.scale + size[1] / 2,
  ];
}

/** The pixel at a place of the frame; null outside. */
export function pixelAt(place: Pixel, frame: Pixel): Pixel | null {
  const y = Math.floor(place[0]);
  const x = Math.floor(place[1]);
  return y >= 0 && x >= 0 && y < frame[0] && x < frame[1] ? [y, x] : null;
}

/** The pixels between two places, at least one; null where none is in the frame. */
export function between(one: Pixel, other: Pixel, frame: Pixel): Box | null {
  const box: Box = [
    Math.max(0, Math.floor(Math.min(one[0], other[0]))),
    Math.max(0, Math.floor(Math.min(one[1], other[1]))),
    Math.min(frame[0], Math.ceil(Math.max(one[0], other[0]))),
    Math.min(frame[1], Math.ceil(Math.max(one[1], other[1]))),
  ];
  return box[0] < box[2] && box[1] < box[3] ? box : null;
}

/** What of the frame is seen, and a little more; null: all of it. */
export function seen(view: View, frame: Pixel, size: Size): Box | null {
  const down = (size[0] / view.scale) * (0.5 + SPARE);
  const right = (size[1] / view.scale) * (0.5 + SPARE);
  const box = between(
    [view.y - down, view.x - right],
    [view.y + down, view.x + right],
    frame,
  );
  const isAll = !box || (box[0] === 0 && box[1] === 0 && box[2] === frame[0] && box[3] === frame[1]);
  return isAll ? null : box;
}

/** True where one box holds another. */
export function holds(outer: Box, inner: Box): boolean {
  return (
    outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3]
  );
}
