/**
 * The states of a file's regions after GFS §2.7.1, from the bytes of all replicas and a history: consistent where all replicas have the same, and
 * defined where moreover what one client wrote is there whole.
 */
import { type ChunkReplicas, liesAt, type Operation } from './history.ts';

export type State = 'defined' | 'undefined' | 'inconsistent' | 'padding';

export interface StatedRegion {
  /** In the file, [from, to). */
  readonly from: number;
  readonly to: number;
  readonly state: State;
}

export function statesOf(chunks: readonly ChunkReplicas[], operations: readonly Operation[]): readonly StatedRegion[] {
  const placed = operations.flatMap((one) => (one.position === undefined ? [] : [{ ...one, position: one.position }]));
  const whole = placed.filter((one) => chunks.every((chunk) => isWholeIn(chunk, one.position, one.bytes)));
  const regions: StatedRegion[] = [];
  for (const { start, replicas } of chunks) {
    const length = Math.max(0, ...replicas.map((bytes) => bytes.length));
    const covers = (all: readonly { position: number; bytes: Uint8Array }[], at: number) =>
      all.some(({ position, bytes }) => position <= at && at < position + bytes.length);
    for (let at = 0; at < length; at++) {
      const byte = replicas[0]![at];
      const isSame = replicas.every((bytes) => bytes[at] === byte);
      const position = start + at;
      const state: State = !isSame
        ? 'inconsistent'
        : covers(whole, position)
          ? 'defined'
          : byte === 0 && !covers(placed, position)
            ? 'padding'
            : 'undefined';
      const last = regions.at(-1);
      if (last?.state === state && last.to === position) regions[regions.length - 1] = { ...last, to: position + 1 };
      else regions.push({ from: position, to: position + 1, state });
    }
  }
  return regions;
}

/** Whether what of the operation belongs into this chunk is there on every replica. */
function isWholeIn({ start, replicas }: ChunkReplicas, position: number, bytes: Uint8Array): boolean {
  return replicas.every((content) => {
    const from = Math.max(position, start);
    const to = Math.min(position + bytes.length, start + content.length);
    if (from >= to) return position + bytes.length <= start || position >= start + content.length;
    return liesAt(content, from - start, bytes.subarray(from - position, to - position));
  });
}
