/** Rates, queues and the histogram as plots. */

import { useSignal } from "@preact/signals";
import type { Columns } from "./history";
import { Plot } from "./plot";
import { figures, picture, ticks } from "./state";
import { count, scaled, value } from "./words";

const RATES = [
  { label: "received", colour: "var(--line-1)" },
  { label: "written", colour: "var(--line-2)" },
];
const BYTES = [{ label: "bytes", colour: "var(--line-1)" }];
const QUEUES = [
  { label: "to be written", colour: "var(--line-1)" },
  { label: "to be forwarded", colour: "var(--line-3)" },
];
const HISTOGRAM = [{ label: "pixels", colour: "var(--line-1)", bars: true }];
const percent = (number: number) => `${Number(number.toPrecision(3))} %`;

export function Line() {
  return (
    <section class="card" aria-labelledby="line-title">
      <h2 id="line-title">Rates and queues</h2>
      <div class="plots">
        <Plot
          title="Frames a second"
          series={RATES}
          columns={() => followed("received", "written")}
          format={(number) => scaled(number)}
        />
        <Plot
          title="Bytes a second, as received"
          series={BYTES}
          columns={() => followed("bytes")}
          format={(number) => scaled(number, "B")}
        />
        <Plot
          title="Buffers filled"
          series={QUEUES}
          columns={() => followed("queue", "forwarding")}
          format={percent}
          least={5}
        />
      </div>
    </section>
  );
}

function followed(...names: string[]): Columns {
  ticks.value.report;
  return figures.columns(names);
}

export function HistogramPanel() {
  const isLog = useSignal(true);
  const told = picture.value?.told.histogram;
  return (
    <section class="card" aria-labelledby="histogram-title">
      <header>
        <h2 id="histogram-title">Histogram</h2>
        <label class="check">
          <input
            type="checkbox"
            checked={isLog.value}
            onChange={(event) => (isLog.value = event.currentTarget.checked)}
          />
          logarithmic
        </label>
      </header>
      <Plot
        title="Pixels by their value"
        series={HISTOGRAM}
        columns={() => histogram(isLog.value)}
        format={(number) => scaled(number)}
        isTime={false}
        isLog={isLog.value}
      />
      {told && (
        <p class="quiet" data-test="histogram">
          {count(told.counts.reduce((sum, n) => sum + n, 0))} pixels from {value(told.low)} to{" "}
          {value(told.high)}, {count(told.masked)} masked
          {told.step > 1 && `; one in ${count(told.step)} is counted`}
        </p>
      )}
    </section>
  );
}

/** The left edge of each bin, and how many pixels are in it. */
function histogram(isLog: boolean): Columns {
  const told = picture.value?.told.histogram;
  if (!told?.counts.length) return [[], []];
  const { low, high, counts } = told;
  const wide = (high - low) / counts.length;
  const edges = [...counts.map((_, k) => low + k * wide), high];
  const heights = counts.map((n) => (isLog && n === 0 ? 0.5 : n));
  return [edges, [...heights, heights.at(-1) ?? null]];
}
