/**
 * Where the table has more chunks between two handles than are looked at for one page of an inventory: what is left of them, for the next time that a
 * page comes which has some of it. Pages change as chunks come and go; so this is kept by handles.
 */
import type { Stretch } from './suspicions.ts';

/** Beyond it what is left is found when all has been looked at once more. */
const stretchesMax = 1024;

export class Unlooked {
  /** Apart from each other. */
  #stretches: readonly Stretch[] = [];

  /** Where to begin with a page: at the first handle of it that is left, or at its first one if none is. */
  startOf({ from, to }: Stretch): number {
    const starts = this.#stretches.filter((left) => left.from <= to && left.to >= from).map((left) => left.from);
    return starts.length === 0 ? from : Math.max(from, Math.min(...starts));
  }

  /** Of the page this stretch was looked at. */
  looked(page: Stretch, { from, to }: Stretch): void {
    const isBegun = from === page.from && !this.#stretches.some((left) => left.from <= page.to && left.to >= page.from);
    if (isBegun) this.#add({ from: to + 1, to: page.to });
    else this.#stretches = this.#stretches.flatMap((left) => without(left, from, to));
  }

  #add(stretch: Stretch): void {
    if (stretch.from > stretch.to || this.#stretches.length >= stretchesMax) return;
    this.#stretches = [...this.#stretches, stretch];
  }
}

function without(left: Stretch, from: number, to: number): readonly Stretch[] {
  if (left.to < from || left.from > to) return [left];
  return [
    { from: left.from, to: from - 1 },
    { from: to + 1, to: left.to },
  ].filter((stretch) => stretch.from <= stretch.to);
}
