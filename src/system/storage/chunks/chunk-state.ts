/**
 * One chunk in memory. What is *committed* is what readers see and what the journal holds; what is *planned* is ahead of it by
 * the groups under way. Appends change the plan in place: blocks before the committed end never change under them, and the
 * checksum of the block that the committed end lies in is kept apart. An overwrite runs alone, so plan and commit meet before it.
 */
import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle, ChunkVersion, MutationSerial } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { blockBytes, type ChunkInfo } from '../chunk-store.ts';
import type { AppendWindow } from './append-window.ts';
import type { ReadHistory } from './read-history.ts';
import type { Slot } from './slabs.ts';

export function blockOf(offset: number): number {
  return Math.floor(offset / blockBytes);
}

export function blockCount(lengthBytes: number): number {
  return Math.ceil(lengthBytes / blockBytes);
}

/** Beyond so many blocks the list of checksums is made for a whole chunk of the usual size at once; that of a longer one doubles. */
const smallListBlocks = 16;
const fullListBlocks = 1024;

export class ChunkState {
  readonly handle: ChunkHandle;
  readonly window: AppendWindow;
  version: ChunkVersion;
  serial: MutationSerial;
  /** The last batch of the journal that is committed here. */
  change = 0;
  lengthBytes = 0;
  /** Of the block that the committed end lies in, up to that end; meaningless when the end is a block's end. */
  tailChecksum = 0;
  plannedLength = 0;
  plannedVersion: ChunkVersion;
  /** As planned. */
  checksums = new Uint32Array(1);

  /** Whoever comes next waits for this: mutations, adoption and removal of one chunk follow the order of their calls. */
  tail: Promise<void> | undefined;
  /** Resolves when the last group that was given to the journal is committed. */
  lastCommit: Promise<unknown> | undefined;
  /** While > 0 the state must not leave memory: somebody holds it across an await. */
  pins = 0;
  /** Raised before and after every overwrite, and by every cut, so that a read that overlapped it can tell. */
  overwrites = 0;
  isRemoved = false;
  /** Set by a failed mutation: the version that it belonged to takes no more of them. */
  fence: { readonly version: ChunkVersion; readonly cause: CairnError } | undefined;
  readonly badBlocks = new Set<number>();
  /** Of bulk reads, once there was one. */
  readHistory: ReadHistory | undefined;

  /** Where it lives while it is small. */
  slot: Slot | undefined;
  /** It has a file of its own, for good. */
  hasFile = false;
  /** The file's name survives a power loss. */
  isPlaced = false;
  /** Bytes in the file that no sync has covered. */
  isUnsynced = false;
  /** Of them, so many that were written through the page cache since the last flush of the file. */
  unflushedBytes = 0;
  /** The flush of the file that is under way. */
  flush: Promise<void> | undefined;
  /** Raised when a write to the file begins and when it ends: a sync covers what ended before it began. */
  writes = 0;
  /** … and that the journal does not hold either. */
  hasUnjournalledData = false;

  constructor(handle: ChunkHandle, version: ChunkVersion, serial: MutationSerial, window: AppendWindow) {
    this.handle = handle;
    this.version = version;
    this.plannedVersion = version;
    this.serial = serial;
    this.window = window;
  }

  get info(): ChunkInfo {
    return { handle: this.handle, version: this.version, lengthBytes: this.lengthBytes, serial: this.serial };
  }

  /** About what it takes. */
  get memoryBytes(): number {
    return this.checksums.byteLength + this.window.memoryBytes;
  }

  get isIdle(): boolean {
    return this.pins === 0 && this.fence === undefined && this.badBlocks.size === 0;
  }

  /** Of the committed content. */
  checksumOf(block: number): number {
    assert(block < blockCount(this.lengthBytes), 'a checksum is asked for a block that is there', { block });
    const isTail = block === blockOf(this.lengthBytes);
    return isTail ? this.tailChecksum : this.checksums[block]!;
  }

  committedChecksums(): Uint32Array<ArrayBuffer> {
    const count = blockCount(this.lengthBytes);
    const all = this.checksums.slice(0, count);
    if (this.lengthBytes % blockBytes !== 0) all[count - 1] = this.tailChecksum;
    return all;
  }

  /** Bytes of the committed content in this block. */
  bytesIn(block: number): number {
    return Math.max(0, Math.min(blockBytes, this.lengthBytes - block * blockBytes));
  }

  reserve(blocks: number): void {
    if (blocks <= this.checksums.length) return;
    const isOfUsualSize = blocks > smallListBlocks && blocks <= fullListBlocks;
    const room = isOfUsualSize ? fullListBlocks : Math.max(blocks, this.checksums.length * 2);
    const larger = new Uint32Array(room);
    larger.set(this.checksums);
    this.checksums = larger;
  }

  /** Makes plan and commit the same: `checksums` are those of a content of this length. */
  settle(lengthBytes: number, checksums: Uint32Array<ArrayBuffer>): void {
    assert(checksums.length === blockCount(lengthBytes), 'each block has a checksum', { lengthBytes });
    this.checksums = checksums;
    this.lengthBytes = lengthBytes;
    this.plannedLength = lengthBytes;
    this.plannedVersion = this.version;
    this.tailChecksum = lengthBytes % blockBytes === 0 ? 0 : checksums[checksums.length - 1]!;
  }
}

/** The chunk takes a change under this version, and none of an older one after it. @throws CairnError CHUNK_MISSING, STALE_VERSION, what has failed before under it */
export function mustAccept(state: ChunkState, version: ChunkVersion): void {
  if (state.isRemoved) throw missing(state.handle);
  if (version < state.plannedVersion) {
    throw new CairnError(
      'STALE_VERSION',
      `a change of chunk ${state.handle} under version ${version} comes after version ${state.plannedVersion}; ask the master again`,
    );
  }
  const { fence } = state;
  if (fence !== undefined && version <= fence.version) {
    throw new CairnError(
      fence.cause.code,
      `chunk ${state.handle} takes no more changes under version ${fence.version} since one failed: ${fence.cause.message}`,
      { cause: fence.cause },
    );
  }
  state.fence = undefined;
  state.plannedVersion = version;
}

export function missing(handle: ChunkHandle): CairnError {
  return new CairnError('CHUNK_MISSING', `chunk ${handle} is not on this server; ask the master again`);
}
