/**
 * The calls `read` and `lengths`. Reads of one peer and of all are bounded in bytes, counted until they have left: a peer that asks
 * faster than it takes waits in its queue, and one that takes nothing any more is disconnected.
 */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import type { CallContext, Peer, Reply, StreamHandler } from '../rpc/handlers.ts';
import { blockBytes, blockSpanBytes, type ChunkStore } from '../storage/chunk-store.ts';
import type { Activity } from './activity.ts';
import type { BytePool, PooledBytes } from './byte-pool.ts';
import type { Departures } from './departures.ts';
import { lengthHere } from './growth.ts';
import type { Inventory } from './inventory.ts';
import type { Leases } from './leases.ts';
import type { Limits } from './limits.ts';
import type { Session } from './session.ts';

type ReadSpec = (typeof chunkCalls)['read'];
type LengthsSpec = (typeof chunkCalls)['lengths'];
type ReadRequest = RequestOf<ReadSpec>;

export interface ReadWorld {
  readonly env: Env;
  readonly limits: Limits;
  readonly store: ChunkStore;
  readonly session: Session;
  readonly inventory: Inventory;
  readonly leases: Leases;
  /** Of `readBufferBytes`. */
  readonly pool: BytePool;
  readonly departures: Departures;
  readonly activity: Activity;
}

/** A packet that begins anywhere, in whole blocks. */
export const readBufferBytes = packetMaxBytes + blockBytes;
/** Smaller reads are better served by the page cache. */
const bulkReadMinBytes = 128 * 1024;

interface Reader {
  readonly peer: Peer;
  readonly queue: { readonly request: ReadRequest; readonly context: CallContext }[];
  readingBytes: number;
  /** What waited to leave when it was last seen to change, and when. */
  seenQueuedBytes: number;
  seenAt: number;
}

/** Readers that wait for room are looked at this often. */
const retryMs = 2;
const sweepMs = 1000;

export class ReadHandler implements StreamHandler<ReadSpec> {
  readonly #world: ReadWorld;
  readonly #readers = new Map<Peer, Reader>();
  readonly #waiting = new Set<Reader>();
  #readingBytes = 0;
  #closing: (() => void) | undefined;
  #retry: Timer | undefined;
  #sweep: Timer | undefined;

  constructor(world: ReadWorld) {
    this.#world = world;
  }

  begin(request: ReadRequest, bodyBytes: number, context: CallContext): undefined {
    const { session, activity } = this.#world;
    session.mustBeValid();
    activity.note();
    if (bodyBytes > 0 || request.length < 1 || request.length > packetMaxBytes) {
      throw new CairnError('INVALID_ARGUMENT', `a read of ${request.length} bytes; it has 1 … ${packetMaxBytes}`);
    }
    const reader = this.#reader(context.peer);
    reader.queue.push({ request, context });
    this.#pump(reader);
  }

  peerClosed(peer: Peer): void {
    const reader = this.#readers.get(peer);
    if (reader === undefined) return;
    reader.queue.length = 0;
    this.#waiting.delete(reader);
    this.#readers.delete(peer);
  }

  /** Resolves when nothing is being read. */
  close(): Promise<void> {
    this.#retry?.cancel();
    this.#sweep?.cancel();
    for (const reader of this.#readers.values()) reader.queue.length = 0;
    return new Promise((resolve) => {
      this.#closing = resolve;
      if (this.#readingBytes === 0) resolve();
    });
  }

  /** Bytes being read or waiting to leave, over all peers. */
  get bytes(): number {
    return this.#readingBytes + this.#queuedBytes;
  }

  get #queuedBytes(): number {
    let bytes = 0;
    for (const { peer } of this.#readers.values()) bytes += peer.queuedBytes;
    return bytes;
  }

  /** @throws CairnError LEASE_EXPIRED */
  lengths(request: RequestOf<LengthsSpec>): Reply<ResponseOf<LengthsSpec>> {
    const { session, inventory } = this.#world;
    session.mustBeValid();
    const lengths = request.handles.map((handle) => {
      inventory.mustBeConfirmed(handle);
      return lengthHere(this.#world.store, this.#world.leases, handle);
    });
    return { response: { lengths } };
  }

  #reader(peer: Peer): Reader {
    let reader = this.#readers.get(peer);
    if (reader === undefined) {
      reader = { peer, queue: [], readingBytes: 0, seenQueuedBytes: 0, seenAt: this.#world.env.clock.now() };
      this.#readers.set(peer, reader);
      this.#sweep ??= this.#world.env.clock.after(sweepMs, () => this.#dropStalled());
    }
    return reader;
  }

  /** @param queuedBytes of all peers, where they were added up already */
  #pump(reader: Reader, queuedBytes?: number): void {
    while (reader.queue.length > 0 && this.#hasRoom(reader, reader.queue[0]!.request.length, queuedBytes)) {
      const { request, context } = reader.queue.shift()!;
      void this.#read(reader, request, context);
    }
    if (reader.queue.length === 0) {
      this.#waiting.delete(reader);
      return;
    }
    this.#waiting.add(reader);
    this.#retry ??= this.#world.env.clock.after(retryMs, () => this.#pumpAll());
  }

  #pumpAll(): void {
    this.#retry = undefined;
    const queuedBytes = this.#queuedBytes;
    for (const reader of [...this.#waiting]) this.#pump(reader, queuedBytes);
  }

  #hasRoom(reader: Reader, bytes: number, queuedBytes?: number): boolean {
    const own = reader.readingBytes + reader.peer.queuedBytes;
    if (own === 0) return true;
    const { readBytesMax, readBytesPerPeerMax } = this.#world.limits;
    if (own + bytes > readBytesPerPeerMax) return false;
    return this.#readingBytes + (queuedBytes ?? this.#queuedBytes) + bytes <= readBytesMax;
  }

  async #read(reader: Reader, { handle, offset, length }: ReadRequest, context: CallContext): Promise<void> {
    reader.readingBytes += length;
    this.#readingBytes += length;
    let pooled: PooledBytes | undefined;
    try {
      const { store, inventory, pool } = this.#world;
      inventory.mustBeConfirmed(handle);
      const span = blockSpanBytes(offset, length);
      pooled = length >= bulkReadMinBytes && span <= readBufferBytes ? pool.take(span) : undefined;
      const { parts, crc } = await store.readSummed(handle, offset, length, pooled?.bytes);
      const info = store.info(handle);
      if (info === undefined) throw new CairnError('CHUNK_MISSING', `chunk ${handle} was removed`);
      const chunkLength = lengthHere(store, this.#world.leases, handle)?.bytes ?? info.lengthBytes;
      context.reply({ crc, chunkLength, version: info.version }, parts);
    } catch (thrown) {
      context.fail(this.#failed(handle, toCairnError(thrown)));
    } finally {
      if (pooled !== undefined) this.#world.departures.after(context.peer, pooled.release.bind(pooled));
      reader.readingBytes -= length;
      this.#readingBytes -= length;
      if (this.#readingBytes === 0) this.#closing?.();
      if (reader.queue.length > 0) this.#pump(reader);
    }
  }

  #failed(handle: ChunkHandle, error: CairnError): CairnError {
    const { env, inventory, store } = this.#world;
    // The file was taken away: the store finds that out, and says so.
    if (error.code === 'CHUNK_MISSING' && store.info(handle) !== undefined) {
      store.verify(handle).catch(() => inventory.markDamaged(handle));
    }
    if (error.code === 'DISK_CORRUPT' || error.code === 'DISK_FAILED') {
      env.events.emit('error', 'chunkserver.chunkDamaged', { handle, code: error.code, message: error.message });
      inventory.markDamaged(handle);
    }
    return error;
  }

  #dropStalled(): void {
    this.#sweep = undefined;
    const now = this.#world.env.clock.now();
    for (const reader of this.#readers.values()) {
      const { peer } = reader;
      const { queuedBytes } = peer;
      if (queuedBytes === 0 || queuedBytes !== reader.seenQueuedBytes) {
        reader.seenQueuedBytes = queuedBytes;
        reader.seenAt = now;
      } else if (now - reader.seenAt >= this.#world.limits.readStallMs) {
        this.#world.env.events.emit('warn', 'chunkserver.readerStalled', { remote: peer.remote, queuedBytes });
        peer.close('it does not take what it asked for');
      }
    }
    if (this.#readers.size > 0) this.#sweep = this.#world.env.clock.after(sweepMs, () => this.#dropStalled());
  }
}
