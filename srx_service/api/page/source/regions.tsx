/** Regions of the frame whose sums are followed. */

import { REGION_COLOURS } from "./drawing";
import { NumberField } from "./field";
import { holds } from "./geometry";
import type { Columns } from "./history";
import { Plot } from "./plot";
import { frame, keyOf, MAX_REGIONS, picture, type Region, regions, sums, ticks } from "./state";
import type { Box } from "./wire";
import { scaled, value } from "./words";

const CORNERS = ["from row", "from column", "to row", "to column"];

export function addRegion(box: Box): void {
  const taken = new Set(regions.value.map(({ id }) => id));
  const id = names().find((name) => !taken.has(name));
  if (id) regions.value = [...regions.value, { id, box }];
}

/** Letters, each once: sums of a region that is gone are not another's. */
let given = 0;
function names(): string[] {
  const letter = String.fromCharCode(65 + (given % 26));
  given += 1;
  return regions.value.length < MAX_REGIONS ? [letter, `${letter}${given}`] : [];
}

/** The region with another corner; null where that cannot be. */
function moved(region: Region, corner: number, to: number): Region | null {
  const box = region.box.map((old, k) => (k === corner ? to : old)) as unknown as Box;
  const [rows, columns] = frame.value;
  const isGood =
    box.every(Number.isInteger) && box[0] < box[2] && box[1] < box[3] &&
    holds([0, 0, rows, columns], box);
  return isGood ? { ...region, box } : null;
}

function change(region: Region, corner: number, to: number): void {
  const next = moved(region, corner, to);
  if (next) regions.value = regions.value.map((r) => (r.id === region.id ? next : r));
}

function addMiddle(): void {
  const [rows, columns] = frame.value;
  const part = (size: number, share: number) => Math.round(size * share);
  addRegion([part(rows, 0.4), part(columns, 0.4), part(rows, 0.6) || 1, part(columns, 0.6) || 1]);
}

export function Regions() {
  const list = regions.value;
  return (
    <section class="card regions" aria-labelledby="regions-title">
      <header>
        <h2 id="regions-title">Regions</h2>
        <button
          type="button"
          class="plain"
          disabled={!picture.value || list.length >= MAX_REGIONS}
          onClick={addMiddle}
        >
          Add region
        </button>
      </header>
      {list.length ? <List list={list} /> : <Hint />}
      {list.length > 0 && (
        <Plot
          title="Sum of each region over time"
          series={list.map((region, k) => ({
            label: region.id,
            key: keyOf(region),
            colour: REGION_COLOURS[k] ?? "grey",
          }))}
          columns={followed}
          format={(number) => scaled(number)}
        />
      )}
    </section>
  );
}

function followed(): Columns {
  ticks.value.picture;
  return sums.columns(regions.value.map(keyOf));
}

function Hint() {
  return (
    <p class="hint">
      Choose <b>Region</b> above the image and drag over it, or add one here: its sum is followed
      over time.
    </p>
  );
}

function List({ list }: { list: readonly Region[] }) {
  const told = picture.value?.told.sums ?? [];
  return (
    <ul class="region-list">
      {list.map((region, k) => {
        const sum = told.find(({ region: box }) => box.join() === region.box.join());
        return (
          <li key={region.id}>
            <span class="swatch" style={{ background: REGION_COLOURS[k] }} aria-hidden="true" />
            <b>{region.id}</b>
            <span class="region-sum" data-region={region.id}>
              {sum ? inWords(sum) : "…"}
            </span>
            <button
              type="button"
              class="plain"
              aria-label={`Remove region ${region.id}`}
              onClick={() => (regions.value = regions.value.filter(({ id }) => id !== region.id))}
            >
              ✕
            </button>
            <Corners region={region} />
          </li>
        );
      })}
    </ul>
  );
}

function inWords(sum: { sum: number | null; counted: number; masked: number; max: number | null }) {
  if (!sum.counted || sum.sum === null) return "all masked";
  const most = sum.max === null ? "" : ` · max ${value(sum.max)}`;
  return `Σ ${value(sum.sum)}${most}`;
}

function Corners({ region }: { region: Region }) {
  return (
    <span class="corners">
      {region.box.map((corner, k) => (
        <NumberField
          key={k}
          label={`Region ${region.id}, ${CORNERS[k]}`}
          value={corner}
          isGood={(to) => moved(region, k, to) !== null}
          onChange={(to) => change(region, k, to)}
        />
      ))}
    </span>
  );
}
