/** uPlot as a component: what is drawn follows signals, colours follow the page. */

import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Columns } from "./history";

export interface Series {
  label: string;
  /** Another key is another plot; the label where there is none. */
  key?: string;
  /** Of CSS: a colour, or a custom property. */
  colour: string;
  bars?: boolean;
}

interface Properties {
  title: string;
  series: readonly Series[];
  /** Called when a signal that it reads has changed. */
  columns: () => Columns;
  format: (number: number) => string;
  /** False: x is a number as it is. */
  isTime?: boolean;
  isLog?: boolean;
  /** The least that the vertical axis reaches up to. */
  least?: number;
}

const HEIGHT = 150;
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = signal(dark.matches);
dark.addEventListener("change", () => (isDark.value = dark.matches));

export function Plot(properties: Properties) {
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef(properties);
  latest.current = properties;
  const key = properties.series.map(({ key, label }) => key ?? label).join("|");
  const isDarkNow = isDark.value;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const plot = new uPlot(options(latest.current, element), [[]], element);
    const watch = new ResizeObserver(() => plot.setSize(sizeOf(element)));
    watch.observe(element);
    let drawing = 0;
    const stop = effect(() => {
      const columns = latest.current.columns();
      cancelAnimationFrame(drawing);
      drawing = requestAnimationFrame(() => {
        if (columns.length !== plot.series.length) return; // another plot is on its way
        plot.setData(columns as uPlot.AlignedData);
        tell(element, latest.current, columns);
      });
    });
    return () => {
      cancelAnimationFrame(drawing);
      stop();
      watch.disconnect();
      plot.destroy();
    };
  }, [key, properties.isLog, isDarkNow]);
  return (
    <figure class="plot">
      <figcaption>{properties.title}</figcaption>
      <Legend series={properties.series} />
      <div ref={box} class="plot-area" role="img" aria-label={properties.title} />
    </figure>
  );
}

function Legend({ series }: { series: readonly Series[] }) {
  if (series.length < 2) return null;
  return (
    <ul class="legend" aria-hidden="true">
      {series.map(({ label, colour }) => (
        <li key={label}>
          <span class="swatch" style={{ background: colour }} /> {label}
        </li>
      ))}
    </ul>
  );
}

/** Screen readers hear the last values instead of a picture. */
function tell(element: HTMLElement, { title, series, format, bars }: Told, columns: Columns): void {
  if (bars) return;
  const values = series.map(({ label }, k) => {
    const last = columns[k + 1]?.at(-1);
    return `${label}: ${last == null ? "nothing yet" : format(last)}`;
  });
  element.setAttribute("aria-label", `${title}. ${values.join("; ")}`);
}

type Told = Properties & { bars?: boolean };

function sizeOf(element: HTMLElement): { width: number; height: number } {
  return { width: Math.max(element.clientWidth, 60), height: HEIGHT };
}

function options(properties: Properties, element: HTMLElement): uPlot.Options {
  const { series, format, isTime = true, isLog = false, least = 1 } = properties;
  const style = getComputedStyle(element);
  const colour = (text: string) =>
    text.startsWith("var(") ? style.getPropertyValue(text.slice(4, -1)).trim() : text;
  const lines = { stroke: colour("var(--grid)"), width: 1 };
  const axis = {
    stroke: colour("var(--quiet)"),
    grid: isLog ? { ...lines, filter: decades } : lines,
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    ...sizeOf(element),
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 16, 0, 0],
    scales: {
      x: { time: isTime },
      y: {
        distr: isLog ? 3 : 1,
        range: isLog
          ? (_, low, high) => [Math.max(0.5, Math.min(low ?? 1, 1) / 2), Math.max(high ?? 10, 10)]
          : (_, low, high) => [Math.min(low ?? 0, 0), Math.max(high ?? 0, least) * 1.06],
      },
    },
    axes: [
      { ...axis, grid: lines, space: 70, size: 26, ...(isTime ? { values: clock } : {}) },
      {
        ...axis,
        size: 58,
        space: 28,
        values: (_, splits) => splits.map((s) => (s == null ? "" : format(s))),
      },
    ],
    series: [
      {},
      ...series.map(({ label, colour: stroke, bars }) => ({
        label,
        stroke: colour(stroke),
        width: bars ? 1 : 1.75,
        points: { show: false },
        spanGaps: false,
        ...(bars ? { paths: uPlot.paths.stepped?.({ align: 1 }), fill: `${colour(stroke)}55` } : {}),
      })),
    ],
  };
}

/** Of a logarithmic axis: lines at powers of ten only. */
function decades(_: uPlot, splits: number[]): (number | null)[] {
  return splits.map((at) => (Number.isInteger(Math.log10(at)) ? at : null));
}

function clock(_: uPlot, splits: number[]): string[] {
  return splits.map((time_s) => new Date(time_s * 1000).toLocaleTimeString("en-GB"));
}
