/** Colour maps: what each of the 256 levels of a picture looks like. */

import { MASKED, type Scale } from "./wire";

/** Colours at equal distances, RRGGBB, with straight lines between them; how masked pixels
 * look, which no level does. Viridis, inferno, magma and cividis are Matplotlib's (CC0). */
interface Definition {
  name: string;
  stops: string;
  masked: string;
}

const DEFINITIONS = {
  grey: { name: "Grey", stops: "000000ffffff", masked: "262e5c" },
  paper: { name: "Grey, inverted", stops: "ffffff000000", masked: "c9d4f5" },
  viridis: {
    name: "Viridis",
    stops:
      "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d" +
      "2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a" +
      "3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725",
    masked: "8a8f98",
  },
  inferno: {
    name: "Inferno",
    stops:
      "0000040403120b0724150b37210c4a2f0a5b3d09654a0c6b57106e64156e71196e" +
      "7d1e6d8a226a972766a32c61b0315bbc3754c73e4cd24644db503be45a31eb6628" +
      "f1731df68013f98e09fb9d07fcac11fbbc21f9cb35f5db4cf2ea69f3f68afcffa4",
    masked: "4a5568",
  },
  magma: {
    name: "Magma",
    stops:
      "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81" +
      "762181832681902a819c2e7faa337db73779c43c75d0416fdc4869e75263ef5d5e" +
      "f56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2fcfdbf",
    masked: "4a5568",
  },
  cividis: {
    name: "Cividis",
    stops:
      "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d" +
      "5a5f6e61656f686a716f70737676767d7c788482798c8878938e789b9476a39a74" +
      "aba072b4a76fbcae6cc4b468cdbb63d5c25edec958e7d150f0d846f9e03afee838",
    masked: "8f3a55",
  },
} satisfies Record<string, Definition>;

export type ColourMap = keyof typeof DEFINITIONS;
export const COLOUR_MAPS = Object.keys(DEFINITIONS) as ColourMap[];

export function nameOf(map: ColourMap): string {
  return DEFINITIONS[map].name;
}

/** The colour of masked pixels, as CSS wants it. */
export function maskColour(map: ColourMap): string {
  return `#${DEFINITIONS[map].masked}`;
}

const tables = new Map<ColourMap, Uint32Array>();

/** For each level the four bytes of a pixel, in the order of a canvas. */
export function table(map: ColourMap): Uint32Array {
  let found = tables.get(map);
  if (!found) tables.set(map, (found = computed(DEFINITIONS[map])));
  return found;
}

function computed({ stops, masked }: Definition): Uint32Array {
  const bytes = new Uint8Array(256 * 4);
  const last = stops.length / 6 - 1;
  for (let level = 0; level < MASKED; level++) {
    const place = (level / (MASKED - 1)) * last;
    const first = Math.min(Math.floor(place), last - 1);
    for (let k = 0; k < 3; k++) {
      const [from, to] = [channel(stops, first, k), channel(stops, first + 1, k)];
      bytes[level * 4 + k] = Math.round(from + (to - from) * (place - first));
    }
    bytes[level * 4 + 3] = 255;
  }
  bytes.set([channel(masked, 0, 0), channel(masked, 0, 1), channel(masked, 0, 2), 255], MASKED * 4);
  return new Uint32Array(bytes.buffer);
}

function channel(stops: string, stop: number, k: number): number {
  return parseInt(stops.slice(stop * 6 + k * 2, stop * 6 + k * 2 + 2), 16);
}

/** Range of a logarithmic scale where pixels are no counts, as in the service. */
const DECADES = 1000;

/** The value of a pixel that has a level; `share` is of all levels, from 0 to 1. */
export function valueAt(
  share: number,
  scale: Scale,
  low: number,
  high: number,
  isFloat: boolean,
): number {
  const range = high - low;
  if (scale === "sqrt") return low + range * share * share;
  if (scale === "linear") return low + range * share;
  const gain = isFloat ? DECADES : range;
  return low + range * (Math.expm1(share * Math.log1p(gain)) / gain);
}
