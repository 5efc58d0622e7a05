/** What a viewer chooses; kept in this browser. */

import { signal } from "@preact/signals";
import { COLOUR_MAPS, type ColourMap } from "./colours";
import type { Scale } from "./wire";

export interface Settings {
  map: ColourMap;
  scale: Scale;
  /** False: from `low` to `high`. */
  isAuto: boolean;
  percentiles: readonly [number, number];
  low: number;
  high: number;
  rate_hz: number;
}

export const SCALES: Record<Scale, string> = {
  linear: "Linear",
  log: "Log",
  sqrt: "Square root",
};
export const RATES_HZ = [1, 2, 5, 10, 20];
const KEY = "srx.settings";
const DEFAULTS: Settings = {
  map: "viridis",
  scale: "log",
  isAuto: true,
  percentiles: [1, 99.8],
  low: 0,
  high: 100,
  rate_hz: 5,
};

export const settings = signal<Settings>(kept());

export function set(changes: Partial<Settings>): void {
  settings.value = { ...settings.value, ...changes };
  try {
    localStorage.setItem(KEY, JSON.stringify(settings.value));
  } catch {
    // a browser that keeps nothing: the choice lasts as long as the page
  }
}

function kept(): Settings {
  try {
    const found = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
    const isKnown =
      COLOUR_MAPS.includes(found.map) && found.scale in SCALES && RATES_HZ.includes(found.rate_hz);
    return isKnown ? found : DEFAULTS;
  } catch {
    return DEFAULTS;
  }
}
