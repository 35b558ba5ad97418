/**
 * Mutations become runs: neighbours of one chunk that continue each other are one write, one journal record, one commit. A stage
 * has at most one run per chunk; what cannot join its chunk's run begins the next stage.
 */
import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle, ChunkVersion, MutationSerial } from '../../../core/base/brand.ts';
import type { ChunkMutation, WindowEntry } from '../chunk-store.ts';

export interface Run {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  serial: MutationSerial;
  readonly offset: number;
  dataBytes: number;
  /** The chunk is at least so long afterwards; beyond the data it is padding. */
  lengthBytes: number;
  parts: readonly Uint8Array[];
  /** For each part, the checksums of its blocks where they are known. */
  partChecksums: readonly (ArrayLike<number> | undefined)[];
  window: readonly WindowEntry[];
  sync: boolean;
}

export type Stage = Map<ChunkHandle, Run>;

/** What one run may carry: it is one write, and its redo one journal payload. */
const runMaxBytes = 8 * 1024 * 1024;

export function toStages(mutations: readonly ChunkMutation[]): readonly Stage[] {
  const stages: Stage[] = [];
  let stage: Stage = new Map();
  for (const mutation of mutations) {
    const dataBytes = sumBytes(mutation.parts);
    const before = stage.get(mutation.handle);
    if (before !== undefined && continues(before, mutation, dataBytes)) join(before, mutation, dataBytes);
    else {
      if (before !== undefined) {
        stages.push(stage);
        stage = new Map();
      }
      stage.set(mutation.handle, toRun(mutation, dataBytes));
    }
  }
  if (stage.size > 0) stages.push(stage);
  return stages;
}

function sumBytes(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}

function continues(run: Run, next: ChunkMutation, dataBytes: number): boolean {
  const end = run.offset + run.dataBytes;
  return (
    next.version === run.version &&
    next.offset === end &&
    run.lengthBytes <= end &&
    run.dataBytes + dataBytes <= runMaxBytes
  );
}

function join(run: Run, next: ChunkMutation, dataBytes: number): void {
  run.serial = next.serial;
  run.dataBytes += dataBytes;
  run.lengthBytes = next.lengthBytes;
  (run.parts as Uint8Array[]).push(...next.parts);
  (run.partChecksums as (ArrayLike<number> | undefined)[]).push(...partChecksumsOf(next));
  (run.window as WindowEntry[]).push(...next.window);
  run.sync ||= next.sync;
}

function toRun(mutation: ChunkMutation, dataBytes: number): Run {
  const { handle, version, serial, offset, lengthBytes, sync } = mutation;
  return {
    handle,
    version,
    serial,
    offset,
    dataBytes,
    lengthBytes,
    parts: [...mutation.parts],
    partChecksums: partChecksumsOf(mutation),
    window: [...mutation.window],
    sync,
  };
}

function partChecksumsOf({ parts, blockChecksums }: ChunkMutation): (ArrayLike<number> | undefined)[] {
  assert(blockChecksums === undefined || parts.length === 1, 'known checksums are those of one part');
  return parts.map(() => blockChecksums);
}
