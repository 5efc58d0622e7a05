/** What plots are drawn from: the last minutes, as columns. */

export type Column = (number | null)[];
export type Columns = [number[], ...Column[]];

/** Rows of a time and some values; the oldest make room. */
export class History {
  private times: number[] = [];
  private rows: Map<string, number | null>[] = [];

  constructor(private readonly length: number) {}

  add(time_s: number, values: Record<string, number | null>): void {
    this.times.push(time_s);
    this.rows.push(new Map(Object.entries(values)));
    if (this.times.length > this.length) {
      this.times.shift();
      this.rows.shift();
    }
  }

  /** Times, then a column for each name; null where nothing is known. */
  columns(names: readonly string[]): Columns {
    const columns = names.map((name) => this.rows.map((row) => row.get(name) ?? null));
    return [[...this.times], ...columns];
  }

  last(name: string): number | null {
    return this.rows[this.rows.length - 1]?.get(name) ?? null;
  }
}

/** How fast counters grow, from one time they are told to the next. */
export class Rates {
  private before: { time_s: number; counts: Record<string, number> } | null = null;

  /** Null where a counter is new, or fell: another life of the service. */
  of(time_s: number, counts: Record<string, number>): Record<string, number | null> {
    const before = this.before;
    this.before = { time_s, counts };
    const rates: Record<string, number | null> = {};
    for (const [name, count] of Object.entries(counts)) {
      const earlier = before?.counts[name];
      const passed_s = time_s - (before?.time_s ?? time_s);
      const isKnown = earlier !== undefined && count >= earlier && passed_s > 0;
      rates[name] = isKnown ? (count - earlier) / passed_s : null;
    }
    return rates;
  }

  forget(): void {
    this.before = null;
  }
}
