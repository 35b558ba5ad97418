/** Reading more than a packet: several packets under way at a time, across the borders of chunks. */
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { type AbortSignalLike, abortable, throwIfAborted } from './abort.ts';
import { checkWindow, invalid } from './failures.ts';
import { packetsIn } from './limits.ts';
import type { OpenFile } from './open-file.ts';
import { Window } from './window.ts';

export interface ReadStreamOptions {
  /** First byte; 0 if not given. */
  readonly start?: number | undefined;
  /** At most so many bytes; all there are if not given, or Infinity. */
  readonly length?: number | undefined;
  /** Bytes under way; also what the reader holds in memory. */
  readonly windowBytes?: number | undefined;
  /** Each piece is valid only until the next is asked for: its memory is used again. */
  readonly reuseMemory?: boolean | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

/** Of a part of a file. @throws CairnError INVALID_ARGUMENT */
export function checkLength(length: number = Number.POSITIVE_INFINITY): number {
  if (length === Number.POSITIVE_INFINITY || (Number.isSafeInteger(length) && length >= 0)) return length;
  throw invalid(`length ${length} is no number of bytes; give an integer from 0 on, or Infinity for all there is`);
}

interface Ahead {
  readonly memory: Uint8Array;
  readonly bytes: number;
  readonly have: Promise<number>;
}

/** The bytes that the file has now, from `start` on, in pieces of up to packetMaxBytes. */
export async function* readStream(file: OpenFile, options: ReadStreamOptions): AsyncGenerator<Uint8Array, void, void> {
  const { signal, start = 0 } = options;
  const length = checkLength(options.length);
  throwIfAborted(signal);
  const since = file.core.env.clock.now();
  const end = Math.min(await abortable(signal, file.size(since)), start + length);
  yield* readBetween(file, start, end, since, options);
}

/**
 * The bytes from `start` to `end`, fewer only if the file ends before.
 * @param since when the end was looked up.
 */
export async function* readBetween(
  file: OpenFile,
  start: number,
  end: number,
  since: number,
  options: Pick<ReadStreamOptions, 'windowBytes' | 'reuseMemory' | 'signal'>,
): AsyncGenerator<Uint8Array, void, void> {
  const { signal, reuseMemory = false, windowBytes = file.core.settings.readWindowBytes } = options;
  checkWindow('windowBytes', windowBytes);
  const max = packetsIn(windowBytes);
  const window = new Window(max);
  const ahead: Ahead[] = [];
  const free: Uint8Array[] = [];
  let next = start;
  while (next < end || ahead.length > 0) {
    for (; next < end && ahead.length < max && window.hasRoom; next += ahead.at(-1)!.bytes) {
      ahead.push(begin(file, window, { position: next, end, since }, free.pop()));
    }
    const { memory, bytes, have } = ahead.shift()!;
    const got = await abortable(signal, have);
    if (got > 0) yield memory.subarray(0, got);
    if (got < bytes) return; // cut shorter meanwhile
    if (reuseMemory) free.push(memory);
    throwIfAborted(signal);
  }
}

function begin(
  file: OpenFile,
  window: Window,
  { position, end, since }: { readonly position: number; readonly end: number; readonly since: number },
  memory: Uint8Array | undefined,
): Ahead {
  const bytes = Math.min(end, file.packetEnd(position)) - position;
  const into =
    memory ?? file.core.allocate(bytes === end - position ? bytes : Math.min(packetMaxBytes, file.chunkBytes));
  const read = () => file.readPacket(position, into.length === bytes ? into : into.subarray(0, bytes), since);
  const have = inWindow(file, window, read);
  have.catch(() => undefined); // told when it is its turn; it may never be
  return { memory: into, bytes, have };
}

/** Waits for room in the window first. */
async function inWindow(file: OpenFile, window: Window, read: () => Promise<number>): Promise<number> {
  await window.enter();
  const { clock } = file.core.env;
  const leftAt = clock.now();
  try {
    return await read();
  } finally {
    window.back(leftAt, clock.now());
  }
}

/**
 * As `readInto`, ABORTED as soon as the signal says so. What is under way then may still come: not into the caller's memory, which is
 * filled when all is there.
 */
export async function readAbortably(
  file: OpenFile,
  position: number,
  into: Uint8Array,
  signal: AbortSignalLike | undefined,
): Promise<number> {
  if (signal === undefined) return readInto(file, position, into);
  const memory = file.core.allocate(into.length);
  const have = await abortable(signal, readInto(file, position, memory, signal));
  into.set(memory.subarray(0, have));
  return have;
}

/**
 * Fills `into` from `position` on.
 * @param signal after which no more is asked for.
 * @returns how many bytes there were; fewer than `into` holds only at the end of the file.
 */
export async function readInto(
  file: OpenFile,
  position: number,
  into: Uint8Array,
  signal?: AbortSignalLike,
): Promise<number> {
  const since = file.core.env.clock.now();
  const end = position + into.length;
  if (into.length > 0 && end <= file.packetEnd(position)) return file.readPacket(position, into, since);
  const max = packetsIn(file.core.settings.readWindowBytes);
  const window = new Window(max);
  let next = position;
  let reached = end;
  const reader = async (): Promise<void> => {
    while (next < reached) {
      throwIfAborted(signal);
      const at = next;
      const to = Math.min(end, file.packetEnd(at));
      next = to;
      const read = () => file.readPacket(at, into.subarray(at - position, to - position), since);
      const have = await inWindow(file, window, read);
      if (have < to - at) reached = Math.min(reached, at + have);
    }
  };
  const stopping = (thrown: unknown) => {
    next = end; // the others ask for no more
    throw thrown;
  };
  // All of them come to their end before this does: nothing is written to the caller's memory afterwards.
  for (const reading of await Promise.allSettled(Array.from({ length: max }, () => reader().catch(stopping)))) {
    if (reading.status === 'rejected') throw reading.reason;
  }
  return Math.max(0, reached - position);
}
