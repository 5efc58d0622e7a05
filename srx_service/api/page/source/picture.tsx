/** The live image: canvas, colour bar, the value under the cursor. */

import { computed, effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { maskColour, table, valueAt } from "./colours";
import { Drawing } from "./drawing";
import { follow, rubber, tool } from "./pointer";
import { settings } from "./settings";
import { cursor, density, frame, isPaused, picture, regions, size, view } from "./state";
import { Toolbar } from "./toolbar";
import { count, value } from "./words";

const SPOKEN_EVERY_MS = 400;

export function PicturePanel() {
  return (
    <section class="card picture" aria-labelledby="picture-title">
      <h2 id="picture-title" class="unseen">
        Live image
      </h2>
      <Toolbar />
      <Screen />
      <ColourBar />
      <Readout />
    </section>
  );
}

function Screen() {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const drawing = new Drawing(element);
    const measure = () => {
      size.value = [Math.max(element.clientHeight, 1), Math.max(element.clientWidth, 1)];
      density.value = Math.min(devicePixelRatio || 1, 3);
    };
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    measure();
    const unfollow = follow(element);
    let waiting = 0;
    const stop = effect(() => {
      const overlay = { regions: regions.value, rubber: rubber.value, cursor: cursor.value };
      const shown = [
        picture.value, settings.value.map, view.value, frame.value, size.value, density.value,
      ] as const;
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => drawing.draw(...shown, overlay));
    });
    return () => {
      cancelAnimationFrame(waiting);
      stop();
      unfollow();
      watch.disconnect();
    };
  }, []);
  return (
    <div class="screen">
      <canvas
        ref={canvas}
        class={tool.value}
        tabIndex={0}
        role="application"
        aria-roledescription="image of the detector"
        aria-label={described.value}
        aria-describedby="keys"
      />
      <Instead />
      <p id="keys" class="keys">
        <kbd>+</kbd> <kbd>−</kbd> zoom · <kbd>0</kbd> all · <kbd>1</kbd> actual size ·{" "}
        <kbd>←↑↓→</kbd> pan · <kbd>Shift</kbd> with them: value of a pixel · <kbd>R</kbd> region
      </p>
    </div>
  );
}

const described = computed(() => {
  const told = picture.value?.told;
  if (!told?.dtype) return "No image yet";
  return `Live image, ${told.shape.join(" by ")} pixels of ${told.dtype}`;
});

/** What stands where no image can be. */
function Instead() {
  const told = picture.value?.told;
  if (told && told.rows > 0 && !told.error) return null;
  return (
    <div class="instead">
      {told?.error ? (
        <>
          <strong>The last frame cannot be shown</strong>
          <span>{told.error}</span>
        </>
      ) : (
        <>
          <strong>No image yet</strong>
          <span>It appears here as soon as the detector sends one.</span>
        </>
      )}
    </div>
  );
}

const TICKS = [0, 0.25, 0.5, 0.75, 1];

function ColourBar() {
  const told = picture.value?.told;
  const { map, scale } = settings.value;
  const bar = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = bar.current?.getContext("2d");
    if (!context) return;
    const image = context.createImageData(255, 1);
    new Uint32Array(image.data.buffer).set(table(map).subarray(0, 255));
    context.putImageData(image, 0, 0);
  }, [map]);
  const isFloat = told?.dtype?.startsWith("float") ?? false;
  return (
    <div class="colour-bar">
      <div class="scale">
        <canvas ref={bar} width={255} height={1} aria-hidden="true" />
        <ol aria-label="Values of the colours, from low to high">
          {TICKS.map((share) => (
            <li key={share}>{told?.rows ? rounded(told.low, told.high, share) : "–"}</li>
          ))}
        </ol>
      </div>
      <span class="masked">
        <span class="swatch" style={{ background: maskColour(map) }} aria-hidden="true" />
        masked
      </span>
    </div>
  );

  function rounded(low: number, high: number, share: number): string {
    const at = valueAt(share, scale, low, high, isFloat);
    const isCoarse = share > 0 && share < 1 && high - low > 20;
    return value(isCoarse ? Math.round(at) : Number(at.toPrecision(4)));
  }
}

/** Of the pixel under the cursor; the service knows its newest frame only. */
const underCursor = computed(() => {
  const at = cursor.value;
  if (!at) return "";
  const told = picture.value?.told.cursor;
  if (!told || told.y !== at[0] || told.x !== at[1]) {
    return isPaused.value ? "not known while paused" : "…";
  }
  return told.value === null ? "masked" : value(told.value);
});

function Readout() {
  const told = picture.value?.told;
  const at = cursor.value;
  return (
    <div class="readout">
      <dl>
        <div class="under-cursor">
          <dt>Pixel</dt>
          <dd data-test="pixel">
            {at ? <>{where(at, told?.shape)} = <b>{underCursor.value}</b></> : "–"}
          </dd>
        </div>
        <div>
          <dt>Frame</dt>
          <dd data-test="frame">{told?.header.frame == null ? "–" : count(told.header.frame)}</dd>
        </div>
        <div>
          <dt>Size</dt>
          <dd data-test="shape">{told?.dtype ? `${told.shape.join(" × ")} ${told.dtype}` : "–"}</dd>
        </div>
        <div>
          <dt>Zoom</dt>
          <dd>{told ? `${Math.round(view.value.scale * 100)} %` : "–"}</dd>
        </div>
        {isPaused.value && <div class="paused">paused</div>}
      </dl>
      <Spoken />
    </div>
  );
}

/** Row and column; of several channels, which one. */
function where([y, x]: readonly [number, number], shape?: readonly number[]): string {
  if (!shape || shape.length < 3) return `${y}, ${x}`;
  const rows = shape[shape.length - 2] ?? 1;
  return `${y % rows}, ${x} of channel ${Math.floor(y / rows) + 1}`;
}

/** The same for screen readers, once the cursor rests. */
function Spoken() {
  const text = useSignal("");
  useEffect(() => {
    let timer = 0;
    const stop = effect(() => {
      const [at, told] = [cursor.value, underCursor.value];
      clearTimeout(timer);
      if (at && told === "…") return;
      const next = at ? `row ${at[0]}, column ${at[1]}: ${told}` : "";
      timer = window.setTimeout(() => (text.value = next), SPOKEN_EVERY_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, []);
  return (
    <p class="unseen" role="status">
      {text}
    </p>
  );
}
