/**
 * Append accounting of one file: each acknowledged record lies where it was answered to be, on every replica, and every other byte is
 * padding, a whole record that a client sent and has no answer for, or (where the mode allows it) a repetition or a fragment of one. But for mode
 * gfs none is in two chunks, and no chunk was left before it was full; in mode strong they lie in an order that clients can have seen.
 */
import { outOfOrder } from './append-order.ts';
import { type Acknowledged, type FileHistory, isAcknowledged, liesAt, type Operation } from './history.ts';

/** What is in one replica of a chunk. */
interface Account {
  /** Acknowledged, and where they were answered to be. */
  readonly kept: readonly Acknowledged[];
  /** All that are there whole. */
  readonly found: ReadonlySet<string>;
  readonly wrong: readonly string[];
}

/** What is wrong, one line each. */
export function accountAppends({ mode, chunkBytes, operations, chunks }: FileHistory): string[] {
  const appends = operations.filter(({ kind }) => kind === 'append');
  const acknowledged = appends.filter(isAcknowledged);
  const wrong: string[] = [];
  const first: Account[] = [];
  for (const { start, replicas } of chunks) {
    const here = acknowledged.filter(({ position }) => position >= start && position < start + chunkBytes);
    const accounts = replicas.map((content) => accountOf(content, start, here, appends, mode));
    wrong.push(...accounts.flatMap((account, n) => account.wrong.map((what) => `replica ${n}: ${what}`)));
    if (accounts[0] !== undefined) first.push(accounts[0]);
  }
  for (const { id, position } of acknowledged) {
    if (!chunks.some(({ start }) => position >= start && position < start + chunkBytes))
      wrong.push(`${id} was acknowledged at ${position}, where there is no chunk`);
  }
  if (mode === 'gfs') return wrong;
  wrong.push(...inTwoChunks(first), ...leftBeforeFull(chunks, chunkBytes));
  const kept = first.flatMap((account) => account.kept);
  if (mode === 'async') wrong.push(...notASuffix(chunks, chunkBytes, acknowledged, kept));
  else
    for (const { one, behind } of outOfOrder(acknowledged))
      wrong.push(`${one.id} at ${one.position} was begun after ${behind.id} behind it was acknowledged`);
  return wrong;
}

function accountOf(
  content: Uint8Array,
  start: number,
  here: readonly Acknowledged[],
  appends: readonly Operation[],
  mode: FileHistory['mode'],
): Account {
  const kept = here.filter(({ position, bytes }) => liesAt(content, position - start, bytes));
  const found = new Set(kept.map(({ id }) => id));
  const lost = mode === 'async' ? [] : here.filter(({ id }) => !found.has(id));
  const wrong = [
    ...lost.map(({ id, position }) => `${id} was acknowledged at ${position} and is not there`),
    ...overlaps(kept),
    ...strangers(content, start, kept, appends, mode, found),
  ];
  return { kept, found, wrong };
}

function inTwoChunks(accounts: readonly Account[]): string[] {
  const seen = new Set<string>();
  return accounts.flatMap(({ found }) =>
    [...found].flatMap((id) => {
      if (seen.has(id)) return [`${id} is in two chunks`];
      seen.add(id);
      return [];
    }),
  );
}

/** Who goes on in the next chunk has been told that this one is full, and that holds. */
function leftBeforeFull(chunks: FileHistory['chunks'], chunkBytes: number): string[] {
  const last = Math.max(...chunks.map(({ start }) => start));
  return chunks
    .filter(({ start, replicas }) => start < last && replicas[0] !== undefined && replicas[0].length < chunkBytes)
    .map(
      ({ start, replicas }) => `the chunk at ${start} has ${replicas[0]!.length} bytes only, and another is behind it`,
    );
}

/**
 * Mode async: in the place of a record that is lost there are others, for whoever goes on where a primary has died begins where it ends itself;
 * so what is behind them came after them. An append that was begun before the primary died may be among them: it was tried again. Zeros in its place
 * are padding, if nothing of the same chunk is behind them.
 */
function notASuffix(
  chunks: FileHistory['chunks'],
  chunkBytes: number,
  acknowledged: readonly Acknowledged[],
  kept: readonly Acknowledged[],
): string[] {
  const ids = new Set(kept.map(({ id }) => id));
  const wrong: string[] = [];
  for (const lost of acknowledged) {
    if (ids.has(lost.id)) continue;
    const inItsPlace = kept.filter((one) => liesIn(one, lost));
    const chunk = chunks.find(({ start }) => lost.position >= start && lost.position < start + chunkBytes);
    const at = lost.position - (chunk?.start ?? 0);
    const isHole = chunk?.replicas[0]?.subarray(at, at + lost.bytes.length).every((byte) => byte === 0) ?? false;
    const nextChunk = (chunk?.start ?? 0) + chunkBytes;
    const behind = kept.find(
      (one) =>
        one.position > lost.position &&
        ((isHole && one.position < nextChunk) || inItsPlace.some((other) => cameAfter(other, one))),
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

/** Goes over what lies between the acknowledged records. @param seen those; what else is there whole is added */
function strangers(
  content: Uint8Array,
  start: number,
  kept: readonly Acknowledged[],
  appends: readonly Operation[],
  mode: FileHistory['mode'],
  seen: Set<string>,
): string[] {
  const wrong: string[] = [];
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
