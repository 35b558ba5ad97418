/**
 * Append accounting of one chunk: each acknowledged record lies where it was answered to be, on every replica, and every other byte is
 * padding, a whole record that a client sent and has no answer for, or (where the mode allows it) a repetition or a fragment of one.
 */
import type { Mode } from '../../core/protocol/types.ts';
import { type Acknowledged, type ChunkReplicas, isAcknowledged, liesAt, type Operation } from './history.ts';

/** What is wrong, one line each. */
export function accountAppends(
  { start, replicas }: ChunkReplicas,
  operations: readonly Operation[],
  mode: Mode,
): string[] {
  const appends = operations.filter(({ kind }) => kind === 'append');
  const wrong: string[] = [];
  for (const [n, content] of replicas.entries()) {
    const here = appends
      .filter(isAcknowledged)
      .filter(({ position }) => position >= start && position < start + Math.max(1, content.length));
    const kept = here.filter(({ position, bytes }) => liesAt(content, position - start, bytes));
    if (mode !== 'async') {
      const keptIds = new Set(kept.map(({ id }) => id));
      for (const { id, position } of here) {
        if (!keptIds.has(id)) wrong.push(`replica ${n}: ${id} was acknowledged at ${position} and is not there`);
      }
    } else wrong.push(...notASuffix(content, start, here, kept).map((what) => `replica ${n}: ${what}`));
    wrong.push(...overlaps(kept).map((what) => `replica ${n}: ${what}`));
    wrong.push(...strangers(content, start, kept, appends, mode).map((what) => `replica ${n}: ${what}`));
  }
  return wrong;
}

/**
 * Mode async: in the place of a record that is lost there are others, for whoever goes on where a primary has died begins where it ends itself;
 * so what is behind them came after them. An append that was begun before the primary died may be among them: it was tried again.
 */
function notASuffix(
  content: Uint8Array,
  start: number,
  here: readonly Acknowledged[],
  kept: readonly Acknowledged[],
): string[] {
  const ids = new Set(kept.map(({ id }) => id));
  const wrong: string[] = [];
  for (const lost of here) {
    if (ids.has(lost.id)) continue;
    const at = lost.position - start;
    const isHole = content.subarray(at, at + lost.bytes.length).every((byte) => byte === 0);
    const inItsPlace = kept.filter((one) => liesIn(one, lost));
    const behind = kept.find(
      (one) => one.position > lost.position && (isHole || inItsPlace.some((other) => cameAfter(other, one))),
    );
    if (behind !== undefined)
      wrong.push(`${lost.id} at ${lost.position} is lost and ${behind.id} behind it is not: no suffix`);
  }
  return wrong;
}

/** Though it lies before it. */
function cameAfter(one: Acknowledged, other: Acknowledged): boolean {
  return one.position < other.position && other.endedAt !== undefined && other.endedAt <= one.begunAt;
}

function liesIn(one: Acknowledged, place: Acknowledged): boolean {
  return one.position < place.position + place.bytes.length && one.position + one.bytes.length > place.position;
}

function overlaps(kept: readonly Acknowledged[]): string[] {
  const sorted = [...kept].sort((a, b) => a.position - b.position);
  return sorted.flatMap((one, n) => {
    const next = sorted[n + 1];
    return next !== undefined && next.position < one.position + one.bytes.length
      ? [`${one.id} and ${next.id} overlap`]
      : [];
  });
}

/** Goes over what lies between the acknowledged records. */
function strangers(
  content: Uint8Array,
  start: number,
  kept: readonly Acknowledged[],
  appends: readonly Operation[],
  mode: Mode,
): string[] {
  const wrong: string[] = [];
  const seen = new Set(kept.map(({ id }) => id));
  const byFirstByte = new Map<number, Operation[]>();
  for (const one of appends) {
    const first = one.bytes[0] ?? 0;
    const same = byFirstByte.get(first);
    if (same === undefined) byFirstByte.set(first, [one]);
    else same.push(one);
  }
  const borders = [...kept]
    .sort((a, b) => a.position - b.position)
    .map(({ position, bytes }) => ({ from: position - start, to: position - start + bytes.length }));
  let at = 0;
  for (const { from, to } of [...borders, { from: content.length, to: content.length }]) {
    while (at < from) {
      const whole = byFirstByte
        .get(content[at]!)
        ?.find(({ bytes }) => at + bytes.length <= from && liesAt(content, at, bytes));
      if (whole !== undefined) {
        const isAllowed = mode === 'gfs' || (!seen.has(whole.id) && (whole.outcome === 'unknown' || mode === 'async'));
        if (!isAllowed) wrong.push(`${whole.id} lies at ${start + at} besides where it was acknowledged, or twice`);
        seen.add(whole.id);
        at += whole.bytes.length;
      } else if (content[at] === 0) at += 1;
      else {
        const bytes = mode === 'gfs' ? fragmentAt(content, at, from, appends) : 0;
        if (bytes === 0) {
          wrong.push(`byte ${start + at} is of nothing that a client sent whole`);
          break;
        }
        at += bytes;
      }
    }
    at = Math.max(at, to);
  }
  return wrong;
}

/** Mode gfs: how many bytes from here on are the beginning or the end of something that was sent. */
function fragmentAt(content: Uint8Array, at: number, to: number, appends: readonly Operation[]): number {
  let longest = 0;
  for (const { bytes } of appends) {
    let length = 0;
    while (length < bytes.length && at + length < to && content[at + length] === bytes[length]) length += 1;
    longest = Math.max(longest, length);
    for (let cut = 1; cut < bytes.length; cut++) {
      const end = bytes.subarray(cut);
      if (end.length > longest && at + end.length <= to && liesAt(content, at, end)) longest = end.length;
    }
  }
  return longest;
}
