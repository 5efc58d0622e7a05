/** The picture and what is drawn over it. */

import { type ColourMap, table } from "./colours";
import { holds, seen, type Size, toScreen, type View } from "./geometry";
import type { Region } from "./state";
import type { Box, Picture, Pixel } from "./wire";

/** Of the lines around regions and of their plots, for dark and for light surroundings. */
export const REGION_COLOURS = [
  "#ff9f1c",
  "#2ec4ff",
  "#ff5da2",
  "#7ae582",
  "#c792ff",
  "#ffe14d",
  "#4dd8c7",
  "#ff7b6b",
];

interface Painted {
  canvas: HTMLCanvasElement;
  region: Box;
  step: number;
}

export interface Overlay {
  regions: readonly Region[];
  rubber: Box | null;
  cursor: Pixel | null;
}

/** Draws on a canvas; keeps the picture in colour, so that to zoom and pan is quick. */
export class Drawing {
  private detail: Painted | null = null;
  /** The last picture of the whole frame, where the detail does not reach. */
  private overview: Painted | null = null;
  private painted: { picture: Picture; map: ColourMap } | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  draw(
    picture: Picture | null,
    map: ColourMap,
    view: View,
    frame: Pixel,
    size: Size,
    density: number,
    overlay: Overlay,
  ): void {
    const [height, width] = size.map((side) => Math.max(1, Math.round(side * density)));
    if (this.canvas.width !== width) this.canvas.width = width ?? 1;
    if (this.canvas.height !== height) this.canvas.height = height ?? 1;
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, size[1], size[0]);
    if (!picture?.told.rows) return;
    this.paint(picture, map, frame);
    const wanted: Box = seen(view, frame, size) ?? [0, 0, ...frame];
    const isShort = this.detail && !holds(this.detail.region, wanted);
    for (const painted of isShort ? [this.overview, this.detail] : [this.detail]) {
      if (painted) place(context, painted, view, size);
    }
    overlay.regions.forEach((region, k) =>
      outline(context, region.box, view, size, REGION_COLOURS[k] ?? "white", region.id),
    );
    if (overlay.rubber) outline(context, overlay.rubber, view, size, "#ffffff", "");
    if (overlay.cursor) cross(context, overlay.cursor, view, size);
  }

  /** Turn levels into colours, once for each picture and map. */
  private paint(picture: Picture, map: ColourMap, frame: Pixel): void {
    if (this.painted?.picture === picture && this.painted.map === map) return;
    this.painted = { picture, map };
    const { rows, columns, region, step } = picture.told;
    const isWhole = region[0] + region[1] === 0 && region[2] === frame[0] && region[3] === frame[1];
    const old = isWhole ? this.detail : this.detail === this.overview ? null : this.detail;
    const canvas = old?.canvas ?? document.createElement("canvas");
    if (canvas.width !== columns) canvas.width = columns;
    if (canvas.height !== rows) canvas.height = rows;
    const context = canvas.getContext("2d");
    if (!context) return;
    const image = context.createImageData(columns, rows);
    const colours = new Uint32Array(image.data.buffer);
    const lookup = table(map);
    const { levels } = picture;
    for (let k = 0; k < levels.length; k++) colours[k] = lookup[levels[k] as number] as number;
    context.putImageData(image, 0, 0);
    this.detail = { canvas, region, step };
    if (isWhole) this.overview = this.detail;
  }
}

function place(
  context: CanvasRenderingContext2D,
  { canvas, region, step }: Painted,
  view: View,
  size: Size,
): void {
  const [top, left] = toScreen(view, [region[0], region[1]], size);
  const [bottom, right] = toScreen(view, [region[2], region[3]], size);
  const side = step * view.scale;
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top); // the last blocks may stand out
  context.clip();
  // one pixel of the frame is a square of its own where it is large enough to be seen
  context.imageSmoothingEnabled = side < 1;
  context.imageSmoothingQuality = "medium";
  context.drawImage(canvas, left, top, canvas.width * side, canvas.height * side);
  context.restore();
}

function outline(
  context: CanvasRenderingContext2D,
  box: Box,
  view: View,
  size: Size,
  colour: string,
  name: string,
): void {
  const [top, left] = toScreen(view, [box[0], box[1]], size);
  const [bottom, right] = toScreen(view, [box[2], box[3]], size);
  for (const [style, width] of [
    ["rgb(0 0 0 / 65%)", 4],
    [colour, 2],
  ] as const) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(left, top, right - left, bottom - top);
  }
  if (!name) return;
  context.font = "600 12px system-ui, sans-serif";
  const text = context.measureText(name).width + 8;
  context.fillStyle = colour;
  context.fillRect(left - 1, Math.max(top - 17, 0), text, 17);
  context.fillStyle = "#10151f";
  context.fillText(name, left + 3, Math.max(top - 17, 0) + 12.5);
}

function cross(context: CanvasRenderingContext2D, at: Pixel, view: View, size: Size): void {
  const [top, left] = toScreen(view, at, size);
  const side = Math.max(view.scale, 1);
  const [y, x] = [top + side / 2, left + side / 2];
  const gap = Math.max(side / 2, 5) + 2;
  for (const [style, width] of [
    ["rgb(0 0 0 / 70%)", 4],
    ["#ffffff", 1.5],
  ] as const) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    for (const [dy, dx] of [
      [0, 1],
      [0, -1],
      [1, 0],
      [-1, 0],
    ] as const) {
      context.moveTo(x + dx * gap, y + dy * gap);
      context.lineTo(x + dx * (gap + 9), y + dy * (gap + 9));
    }
    if (side >= 6) context.rect(left, top, side, side);
    context.stroke();
  }
}
