/** Mouse, fingers and keys on the picture: they change what is looked at. */

import { signal } from "@preact/signals";
import { between, panned, pixelAt, toFrame, zoomed } from "./geometry";
import { addRegion } from "./regions";
import { cursor, frame, look, picture, size, view } from "./state";
import type { Box, Pixel } from "./wire";

export type Tool = "move" | "region";

export const tool = signal<Tool>("move");
/** The region that is being drawn. */
export const rubber = signal<Box | null>(null);

const STEP = 1.25;
/** Of the canvas, that an arrow key pans. */
const PAN = 0.1;

export function zoom(factor: number, at?: Pixel): void {
  const [height, width] = size.value;
  look(zoomed(view.value, factor, at ?? [height / 2, width / 2], size.value));
}

export const zoomIn = (): void => zoom(STEP);
export const zoomOut = (): void => zoom(1 / STEP);
export const fitAll = (): void => look(null);
/** A pixel of the frame is one of the screen. */
export const actualSize = (): void => look({ ...view.value, scale: 1 });

/** Follow a canvas; return how to stop. */
export function follow(canvas: HTMLCanvasElement): () => void {
  const gestures = new Gestures(canvas);
  const listeners = {
    pointerdown: (event: PointerEvent) => gestures.down(event),
    pointermove: (event: PointerEvent) => gestures.move(event),
    pointerup: (event: PointerEvent) => gestures.up(event),
    pointercancel: (event: PointerEvent) => gestures.up(event),
    pointerleave: (event: PointerEvent) => gestures.leave(event),
    dblclick: (event: MouseEvent) => zoom(2, gestures.at(event)),
    wheel: (event: WheelEvent) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      zoom(Math.exp(-event.deltaY * lines * 0.0016), gestures.at(event));
    },
    keydown: (event: KeyboardEvent) => {
      if (pressed(event)) event.preventDefault();
    },
  };
  const each = Object.entries(listeners) as [string, EventListener][];
  for (const [name, listener] of each) canvas.addEventListener(name, listener, { passive: false });
  return () => {
    for (const [name, listener] of each) canvas.removeEventListener(name, listener);
  };
}

class Gestures {
  private fingers = new Map<number, Pixel>();
  private begun: Pixel | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  at(event: MouseEvent): Pixel {
    const { top, left } = this.canvas.getBoundingClientRect();
    return [event.clientY - top, event.clientX - left];
  }

  down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.at(event));
    this.point(event);
    const isDrawn = tool.value === "region" && this.fingers.size === 1;
    this.begun = isDrawn ? toFrame(view.value, this.at(event), size.value) : null;
    rubber.value = null;
  }

  move(event: PointerEvent): void {
    const before = this.fingers.get(event.pointerId);
    const now = this.at(event);
    if (before) {
      this.drag(event.pointerId, before, now);
      this.fingers.set(event.pointerId, now);
    }
    this.point(event);
  }

  private drag(id: number, before: Pixel, now: Pixel): void {
    if (this.fingers.size === 2) this.pinch(id, before, now);
    else if (this.begun) {
      rubber.value = between(this.begun, toFrame(view.value, now, size.value), frame.value);
    } else look(panned(view.value, now[0] - before[0], now[1] - before[1]));
  }

  up(event: PointerEvent): void {
    this.fingers.delete(event.pointerId);
    if (!this.begun) return;
    if (rubber.value && event.type === "pointerup") {
      addRegion(rubber.value);
      tool.value = "move";
    }
    rubber.value = this.begun = null;
  }

  leave(event: PointerEvent): void {
    if (event.pointerType === "mouse" && !this.fingers.size) cursor.value = null;
  }

  /** The value of what is under the pointer is shown. */
  private point(event: MouseEvent): void {
    cursor.value = pixelAt(toFrame(view.value, this.at(event), size.value), frame.value);
  }

  private pinch(id: number, before: Pixel, now: Pixel): void {
    const other = [...this.fingers].find(([finger]) => finger !== id)?.[1];
    if (!other) return;
    const distance = (from: Pixel) => Math.hypot(from[0] - other[0], from[1] - other[1]);
    const middle: Pixel = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    const moved = panned(view.value, (now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    look(zoomed(moved, distance(now) / Math.max(distance(before), 1), middle, size.value));
  }
}

const ARROWS: Record<string, Pixel> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** True where the key means something here. */
function pressed(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) return walk(arrow);
  if (arrow) {
    const [height, width] = size.value;
    look(panned(view.value, -arrow[0] * height * PAN, -arrow[1] * width * PAN));
    return true;
  }
  const meant: Record<string, () => void> = {
    "+": zoomIn,
    "=": zoomIn,
    "-": zoomOut,
    "0": fitAll,
    "1": actualSize,
    r: () => (tool.value = tool.value === "region" ? "move" : "region"),
    Escape: () => {
      cursor.value = rubber.value = null;
      tool.value = "move";
    },
  };
  const act = meant[event.key];
  act?.();
  return act !== undefined;
}

/** Move the cursor by a pixel of the picture: first to the middle of what is seen. */
function walk([down, right]: Pixel): boolean {
  const step = Math.max(1, Math.round(1 / view.value.scale));
  const from = cursor.value;
  const next = from
    ? ([from[0] + down * step, from[1] + right * step] as const)
    : ([view.value.y, view.value.x] as const);
  if (picture.value) cursor.value = pixelAt(next, frame.value) ?? from;
  return true;
}
