/** How the image is shown. */

import type { ComponentChildren } from "preact";
import { COLOUR_MAPS, type ColourMap, nameOf } from "./colours";
import { NumberField } from "./field";
import { actualSize, fitAll, tool, zoomIn, zoomOut } from "./pointer";
import { RATES_HZ, SCALES, set, settings } from "./settings";
import { isPaused, picture } from "./state";
import type { Scale } from "./wire";

export function Toolbar() {
  const { map, scale, rate_hz } = settings.value;
  return (
    <div class="toolbar" role="group" aria-label="How the image is shown">
      <Select
        label="Colours"
        value={map}
        options={COLOUR_MAPS.map((name) => [name, nameOf(name)])}
        onChange={(name) => set({ map: name as ColourMap })}
      />
      <Select
        label="Scale"
        value={scale}
        options={Object.entries(SCALES)}
        onChange={(name) => set({ scale: name as Scale })}
      />
      <Range />
      <Select
        label="At most"
        value={String(rate_hz)}
        options={RATES_HZ.map((rate) => [String(rate), `${rate} Hz`])}
        onChange={(rate) => set({ rate_hz: Number(rate) })}
      />
      <div class="buttons">
        <Button
          label={isPaused.value ? "Go on" : "Pause"}
          icon={isPaused.value ? "M7 5l12 7-12 7z" : "M7 5h4v14H7zM13 5h4v14h-4z"}
          isPressed={isPaused.value}
          onClick={() => (isPaused.value = !isPaused.value)}
        />
        <Button
          label="Region"
          icon="M4 4h4v2H6v2H4zm12 0h4v4h-2V6h-2zM4 16h2v2h2v2H4zm14 0h2v4h-4v-2h2zM10 4h4v2h-4zm0 14h4v2h-4zM4 10h2v4H4zm14 0h2v4h-2z"
          isPressed={tool.value === "region"}
          onClick={() => (tool.value = tool.value === "region" ? "move" : "region")}
        />
      </div>
      <div class="buttons">
        <Button label="Zoom out" icon="M5 11h14v2H5z" onClick={zoomOut} />
        <Button label="Zoom in" icon="M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z" onClick={zoomIn} />
        <Button
          label="Whole frame"
          icon="M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z"
          onClick={fitAll}
        />
        <Button label="Actual size" onClick={actualSize}>
          1:1
        </Button>
      </div>
    </div>
  );
}

function Select(properties: {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChange: (value: string) => void;
}) {
  const { label, value, options, onChange } = properties;
  return (
    <label>
      <span>{label}</span>
      <select aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([name, text]) => (
          <option key={name} value={name} selected={name === value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Range() {
  const { isAuto, percentiles, low, high } = settings.value;
  const choose = (auto: boolean) => {
    const told = picture.value?.told;
    // fixed begins with what automatic has found
    set(auto || !told?.rows ? { isAuto: auto } : { isAuto: auto, low: told.low, high: told.high });
  };
  return (
    <fieldset class="range">
      <legend class="unseen">Range of the colours</legend>
      <Select
        label="Range"
        value={isAuto ? "auto" : "fixed"}
        options={[
          ["auto", "Percentiles"],
          ["fixed", "Fixed"],
        ]}
        onChange={(name) => choose(name === "auto")}
      />
      {isAuto ? (
        <>
          <NumberField
            label="Lowest percentile"
            value={percentiles[0]}
            isGood={(n) => n >= 0 && n < percentiles[1]}
            onChange={(n) => set({ percentiles: [n, percentiles[1]] })}
          />
          <span aria-hidden="true">–</span>
          <NumberField
            label="Highest percentile"
            value={percentiles[1]}
            isGood={(n) => n > percentiles[0] && n <= 100}
            onChange={(n) => set({ percentiles: [percentiles[0], n] })}
          />
          <span aria-hidden="true">%</span>
        </>
      ) : (
        <>
          <NumberField
            label="Lowest value"
            value={low}
            isGood={(n) => n < high}
            onChange={(n) => set({ low: n })}
          />
          <span aria-hidden="true">–</span>
          <NumberField
            label="Highest value"
            value={high}
            isGood={(n) => n > low}
            onChange={(n) => set({ high: n })}
          />
        </>
      )}
    </fieldset>
  );
}

function Button(properties: {
  label: string;
  icon?: string;
  isPressed?: boolean;
  onClick: () => void;
  children?: ComponentChildren;
}) {
  const { label, icon, isPressed, onClick, children } = properties;
  return (
    <button
      type="button"
      class="tool"
      aria-label={label}
      title={label}
      aria-pressed={isPressed}
      onClick={onClick}
    >
      {icon ? (
        <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
          <path d={icon} fill="currentColor" />
        </svg>
      ) : (
        children
      )}
    </button>
  );
}
