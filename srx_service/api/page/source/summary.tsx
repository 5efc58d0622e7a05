/** What the line does: state, file, what became of the frames. */

import { figures, report, ticks } from "./state";
import type { Acquisition, Status } from "./wire";
import {
  blemishes,
  clock,
  count,
  duration,
  goal,
  leftOut,
  losses,
  nameOfFile,
  scaled,
} from "./words";

export function Summary() {
  const told = report.value;
  return (
    <section class="card summary" aria-labelledby="summary-title">
      <header>
        <h2 id="summary-title">Acquisition</h2>
        {told?.acquisition && <span class="quiet">{since(told.acquisition)}</span>}
      </header>
      {told?.acquisition ? (
        <Newest acquisition={told.acquisition} status={told.status} />
      ) : (
        <p class="hint">
          {told ? "None yet: it begins when the detector is armed." : "Waiting for the service …"}
        </p>
      )}
      {told && <SinceStart status={told.status} />}
    </section>
  );
}

function since({ created_s, finished_s, state }: Acquisition): string {
  if (finished_s) return `${state}, took ${duration(finished_s - created_s)}`;
  return `${state} since ${clock(created_s)}`;
}

function Newest({ acquisition, status }: { acquisition: Acquisition; status: Status }) {
  const { counts, file } = acquisition;
  const all = goal(acquisition);
  const others = leftOut(counts);
  const lost = losses(counts).filter((text) => !text.endsWith(" missing"));
  return (
    <>
      <p class="file" title={file ?? undefined}>
        {file ? nameOfFile(file) : "No file: live view only"}
        {file && <span class="folder">{file.slice(0, file.lastIndexOf("/") + 1)}</span>}
      </p>
      {all !== null && all > 0 && <Progress done={counts.received ?? 0} all={all} />}
      <dl class="counts">
        <Figure name="Received" number={counts.received} />
        <Figure name="Written" number={counts.written} />
        <Figure name="Missing" number={counts.missing} isBad />
      </dl>
      {lost.length > 0 && <p class="bad">{lost.join(", ")}</p>}
      {others.length > 0 && <p class="quiet">{others.join(", ")}</p>}
      <Speed status={status} />
    </>
  );
}

function Progress({ done, all }: { done: number; all: number }) {
  return (
    <div class="progress">
      <progress value={Math.min(done, all)} max={all} aria-label="Frames received" />
      <span>
        {count(done)} of {count(all)}
      </span>
    </div>
  );
}

function Figure(properties: { name: string; number: number | undefined; isBad?: boolean }) {
  const { name, number = 0, isBad = false } = properties;
  return (
    <div class={isBad && number > 0 ? "bad" : undefined}>
      <dt>{name}</dt>
      <dd data-test={name.toLowerCase()}>{count(number)}</dd>
    </div>
  );
}

function Speed({ status }: { status: Status }) {
  ticks.value.report;
  const rate = figures.last("received");
  const bytes = figures.last("bytes");
  const parts = [];
  if (rate !== null && bytes !== null) {
    parts.push(`${scaled(rate)} frames/s`, `${scaled(bytes, "B")}/s`);
  }
  if (status.disk_free_bytes != null) parts.push(`${scaled(status.disk_free_bytes, "B")} free`);
  if (status.clients) parts.push(`live processing: ${count(status.clients)} connected`);
  return <p class="quiet">{parts.join(" · ")}</p>;
}

function SinceStart({ status }: { status: Status }) {
  const found = blemishes(status);
  if (!found.length) return null;
  return (
    <details class="blemishes">
      <summary>Since the service started</summary>
      <ul>
        {found.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </details>
  );
}
