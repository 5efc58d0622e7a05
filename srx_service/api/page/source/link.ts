/** How large pictures a slow link is asked for, and how often. */

/** Reports that come so much later than the quickest did are behind pictures. */
const LATE_S = 1.5;
const GOOD_S = 0.4;
/** Reports in time before a larger picture is tried; twice as many after each failure. */
const PATIENCE = 5;
const MAX_PATIENCE = 80;
const SMALLEST = 1 / 8;

/** Watches when reports come: who is late has pictures before it in the queue. */
export class Link {
  /** Of the sides that pictures would have, and of their rate: of the bytes it is the cube. */
  share = 1;
  private quickest_s = Infinity;
  private good = 0;
  private patience = PATIENCE;

  /** Take note of a report; true: the share has changed.
   *
   * Clocks differ, so what counts is how much later it is than the quickest was.
   */
  reported(sent_s: number, came_s: number): boolean {
    const took_s = came_s - sent_s;
    this.quickest_s = Math.min(this.quickest_s, took_s);
    const late_s = took_s - this.quickest_s;
    if (late_s > LATE_S) return this.shrink();
    this.good = late_s < GOOD_S ? this.good + 1 : 0;
    if (this.share === 1 || this.good < this.patience) return false;
    this.good = 0;
    this.share = Math.min(1, this.share * 2);
    return true;
  }

  /** Nothing came for long, or too late. */
  shrink(): boolean {
    this.good = 0;
    if (this.share <= SMALLEST) return false;
    this.patience = Math.min(this.patience * 2, MAX_PATIENCE);
    this.share /= 2;
    return true;
  }

  /** The connection was lost: with the next one the other clock may be another. */
  restart(): void {
    this.quickest_s = Infinity;
    this.good = 0;
  }
}
