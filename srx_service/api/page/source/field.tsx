/** A number that is typed: taken with Enter or on leaving, and only if it can be meant. */

import { useSignal } from "@preact/signals";

interface Properties {
  label: string;
  value: number;
  isGood: (number: number) => boolean;
  onChange: (number: number) => void;
}

export function NumberField({ label, value, isGood, onChange }: Properties) {
  // what is being typed outlives pictures that come meanwhile and draw the page anew
  const draft = useSignal<string | null>(null);
  const isBad = draft.value !== null && !isGood(Number(draft.value || NaN));
  return (
    <input
      type="number"
      step="any"
      aria-label={label}
      title={label}
      aria-invalid={isBad}
      value={draft.value ?? String(Number(value.toPrecision(7)))}
      onInput={(event) => (draft.value = event.currentTarget.value)}
      onChange={() => {
        if (draft.value === null || isBad) return;
        onChange(Number(draft.value));
        draft.value = null;
      }}
      onBlur={() => (draft.value = null)}
    />
  );
}
