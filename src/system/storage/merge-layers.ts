/** Several sorted sequences as one: where they hold the same key, the first that does decides; `null` hides the key. */
import type { Key, Pair } from './ordered-store.ts';

type Entry = readonly [Key, Uint8Array | null];

/** @param layers the newest first, each ascending */
export function* mergeLayers(layers: readonly Iterable<Entry>[]): Generator<Pair, void> {
  const iterators = layers.map((layer) => layer[Symbol.iterator]());
  const heads: (Entry | undefined)[] = iterators.map(advance);
  try {
    for (;;) {
      let least: Entry | undefined;
      for (const head of heads) if (head !== undefined && (least === undefined || head[0] < least[0])) least = head;
      if (least === undefined) return;
      for (let i = 0; i < heads.length; i++) if (heads[i]?.[0] === least[0]) heads[i] = advance(iterators[i]!);
      if (least[1] !== null) yield least as Pair;
    }
  } finally {
    // A scan that is left early lets go of what lies below (a cursor of the map).
    for (const iterator of iterators) iterator.return?.();
  }
}

function advance(iterator: Iterator<Entry>): Entry | undefined {
  const step = iterator.next();
  return step.done === true ? undefined : step.value;
}
