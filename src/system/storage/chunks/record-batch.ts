/**
 * Records of chunks on their way into the metadata log. Each is laid out as the chunk is when it is added: nothing of it is kept but the bytes, so
 * that a checkpoint of many small chunks neither makes objects for all of them nor goes over them twice.
 */
import { ByteWriter } from '../../../core/base/bytes.ts';
import type { Crc32 } from '../../../core/base/env.ts';
import type { ChunkState } from './chunk-state.ts';
import { frameKinds, writeChunkPayload, writeFrame } from './metadata-frame.ts';
import type { Slot } from './slabs.ts';

export interface BatchedRecord {
  readonly state: ChunkState;
  /** Where the chunk was when it was added. */
  readonly slot: Slot | undefined;
  /** Within the batch. */
  readonly offset: number;
  readonly bytes: number;
}

export class RecordBatch {
  readonly records: BatchedRecord[] = [];
  readonly #w = new ByteWriter(64 * 1024);
  readonly #crc32: Crc32;

  constructor(crc32: Crc32) {
    this.#crc32 = crc32;
  }

  /** @returns the bytes of its record. */
  add(state: ChunkState): number {
    const w = this.#w;
    const { slot } = state;
    const offset = w.length;
    const bytes = writeFrame(w, frameKinds.chunk, state.handle, this.#crc32, () =>
      writeChunkPayload(w, state, state.committedChecksums(), state.window.entries()),
    );
    this.records.push({ state, slot, offset, bytes });
    return bytes;
  }

  /** All records, one behind the other; valid until the next is added. */
  view(): Uint8Array {
    return this.#w.view();
  }
}
