/** Where a mutation goes in its chunk: the primary's decision, before anything is written. GFS §3.1, §3.3. */
import type { Crc32 } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { MutationKind, WindowRun } from '../../core/protocol/chunk-calls.ts';
import type { AppendWindow } from './append-window.ts';
import type { Mutation, Placement } from './mutation.ts';

type AppendKind = Extract<MutationKind, { kind: 'append' }>;

/** @param lengthBytes of the chunk, with all mutations that were ordered before. @throws CairnError INVALID_ARGUMENT */
export function placeWrite(mutation: Mutation, offset: number, lengthBytes: number): Placement {
  const { body, crc } = mutation.request;
  mutation.lengthAfter = Math.max(lengthBytes, offset + body.length);
  return {
    offset,
    bytes: body.length,
    parts: [body],
    crc,
    bodyAt: 0,
    lengthBytes: mutation.lengthAfter,
    window: [],
    isCut: false,
  };
}

type ResizeKind = Extract<MutationKind, { kind: 'resize' }>;

/**
 * Cuts the chunk or adds zeros, once: the window remembers it as a record of no bytes.
 * @returns undefined when it was done before; the mutation that does it, if it is under way, is awaited.
 */
export function placeResize(
  mutation: Mutation,
  { writer, since, sequence, lengthBytes }: ResizeKind,
  lengthBefore: number,
  window: AppendWindow<Mutation>,
): Placement | undefined {
  const known = window.find(writer, sequence, since);
  if (known === 'forgotten') throw forgotten(sequence);
  mutation.lengthAfter = known === undefined ? lengthBytes : lengthBefore;
  if (known?.owner?.isSettled === false) {
    known.owner.followers.push(mutation);
    mutation.missing += 1;
  }
  if (known !== undefined) return undefined;
  const offset = Math.min(lengthBytes, lengthBefore);
  window.add(writer, sequence, offset, mutation);
  const run = { writer, firstSequence: sequence, offset, lengths: [0] };
  const isCut = lengthBytes < lengthBefore;
  return { offset, bytes: 0, parts: [], crc: 0, bodyAt: 0, lengthBytes, window: [run], isCut };
}

/** Records of one append while they are being laid. */
interface Laying {
  readonly offsets: number[];
  readonly runs: { writer: number; firstSequence: number; offset: number; lengths: number[] }[];
  /** Stretches of the body, as [from, to). */
  readonly stretches: { from: number; to: number }[];
  /** Made when the first is. */
  awaited: Set<Mutation> | undefined;
  end: number;
  isFull: boolean;
}

/**
 * Lays the records one after another at the end of the chunk. Those that the window knows already keep their first place; the mutations
 * that carry them, if they are under way, are awaited. A record that does not fit fills the chunk: padding to its end, and
 * this and all later records stay without an offset.
 * @returns undefined when nothing is to be written: all records are known, or the chunk was full before.
 * @throws CairnError UNKNOWN_OUTCOME for a record that the window has forgotten
 */
export function placeAppend(
  mutation: Mutation,
  kind: AppendKind,
  lengthBytes: number,
  window: AppendWindow<Mutation>,
  crc32: Crc32,
): Placement | undefined {
  const { chunkBytes } = mutation.request;
  const laid = layRecords(kind, lengthBytes, chunkBytes, window);
  for (const owner of laid.awaited ?? []) {
    owner.followers.push(mutation);
    mutation.missing += 1;
  }
  mutation.offsets = laid.offsets;
  mutation.lengthAfter = laid.isFull ? Math.max(lengthBytes, chunkBytes) : laid.end;
  if (mutation.lengthAfter === lengthBytes) return undefined;
  for (const run of laid.runs) {
    let at = run.offset;
    for (let i = 0; i < run.lengths.length; i++) {
      window.add(run.writer, run.firstSequence + i, at, mutation);
      at += run.lengths[i]!;
    }
  }
  return placementOf(mutation, laid, lengthBytes, crc32);
}

function layRecords(kind: AppendKind, lengthBytes: number, chunkBytes: number, window: AppendWindow<Mutation>): Laying {
  const laid: Laying = { offsets: [], runs: [], stretches: [], awaited: undefined, end: lengthBytes, isFull: false };
  let at = 0;
  for (let i = 0; i < kind.lengths.length; i++) {
    const bytes = kind.lengths[i]!;
    const sequence = kind.firstSequence + i;
    const known = window.find(kind.writer, sequence, kind.since);
    if (known === 'forgotten') throw forgotten(sequence);
    if (known !== undefined) {
      laid.offsets.push(known.offset);
      if (known.owner !== undefined) {
        laid.awaited ??= new Set();
        laid.awaited.add(known.owner);
      }
    } else if (laid.end + bytes > chunkBytes) {
      laid.isFull = true;
      break;
    } else {
      layOne(laid, kind.writer, sequence, at, bytes);
    }
    at += bytes;
  }
  return laid;
}

function layOne(laid: Laying, writer: number, sequence: number, at: number, bytes: number): void {
  laid.offsets.push(laid.end);
  const run = laid.runs[laid.runs.length - 1];
  if (run !== undefined && run.firstSequence + run.lengths.length === sequence) run.lengths.push(bytes);
  else laid.runs.push({ writer, firstSequence: sequence, offset: laid.end, lengths: [bytes] });
  const stretch = laid.stretches[laid.stretches.length - 1];
  if (stretch !== undefined && stretch.to === at) stretch.to = at + bytes;
  else laid.stretches.push({ from: at, to: at + bytes });
  laid.end += bytes;
}

function placementOf(mutation: Mutation, laid: Laying, offset: number, crc32: Crc32): Placement {
  const { body, crc } = mutation.request;
  const window: readonly WindowRun[] = laid.runs;
  const bytes = laid.end - offset;
  const isWhole = bytes === body.length;
  const parts = isWhole ? [body] : laid.stretches.map(({ from, to }) => body.subarray(from, to));
  const bodyAt = parts.length > 1 ? undefined : (laid.stretches[0]?.from ?? 0);
  const partsCrc = isWhole ? crc : parts.reduce((sum, part) => crc32(part, sum), 0);
  return { offset, bytes, parts, crc: partsCrc, bodyAt, lengthBytes: mutation.lengthAfter, window, isCut: false };
}

function forgotten(sequence: number): CairnError {
  return new CairnError(
    'UNKNOWN_OUTCOME',
    `append ${sequence} was sent before, and so much was appended since that nobody knows whether it is there; look for it`,
  );
}
