/**
 * The secondary's side: carries out mutations in the primary's order, shows its image, and is made equal to a new primary. Within a
 * chunk serials follow each other without a gap; whatever does not fit is refused, and the primary leaves this replica behind.
 */
import { type ChunkHandle, type ChunkVersion, toMutationSerial } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import type { chunkCalls, OrderedMutation } from '../../core/protocol/chunk-calls.ts';
import type { Reply } from '../rpc/handlers.ts';
import { type ChunkStore, chunkBytesMax } from '../storage/chunk-store.ts';
import type { PooledBytes } from './byte-pool.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import type { Fences } from './fences.ts';
import type { Inventory } from './inventory.ts';
import type { Leases } from './leases.ts';
import type { Limits } from './limits.ts';
import type { Pushed, Staging } from './staging.ts';
import { entriesOf } from './window-runs.ts';

type ApplySpec = (typeof chunkCalls)['apply'];

export interface SecondaryWorld {
  readonly env: Env;
  readonly limits: Limits;
  readonly store: ChunkStore;
  readonly writer: ChunkWriter;
  readonly fences: Fences;
  readonly inventory: Inventory;
  readonly staging: Staging;
  readonly leases: Pick<Leases, 'hasEnded'>;
}

type Done = (error: CairnError | undefined) => void;

/** A mutation in the primary's order, until it is written. */
interface Ordered {
  readonly order: OrderedMutation;
  readonly since: number;
  readonly done: Done;
  bytes: Uint8Array | undefined;
  pooled: PooledBytes | undefined;
  blockChecksums: readonly number[] | undefined;
}

/** A chunk with mutations under way: its last serial is ahead of what the store has. */
interface Following {
  readonly version: ChunkVersion;
  serial: number;
  underWay: number;
  /** From the first whose bytes have not come. */
  waiting: Ordered[];
  /** One was refused that was waiting: no later serial may follow until the chunk was adopted anew. */
  hasGap: boolean;
}

const sweepMs = 500;
const noBytes = new Uint8Array(0);

export class Secondary {
  readonly #world: SecondaryWorld;
  readonly #following = new Map<ChunkHandle, Following>();
  #waitingChunks = 0;
  #sweep: Timer | undefined;

  constructor(world: SecondaryWorld) {
    this.#world = world;
    world.fences.onRaised((handle, version) => this.#overtaken(handle, version));
  }

  close(): void {
    this.#sweep?.cancel();
  }

  apply(request: RequestOf<ApplySpec>, body: Uint8Array): Promise<Reply<ResponseOf<ApplySpec>>> {
    const { mutations } = request;
    const failures: { at: number; code: string; message: string }[] = [];
    let left = mutations.length;
    return new Promise((resolve) => {
      const done = (at: number, error: CairnError | undefined) => {
        if (error !== undefined) failures.push({ at, code: error.code, message: error.message });
        left -= 1;
        if (left === 0) resolve({ response: { failures } });
      };
      if (left === 0) resolve({ response: { failures } });
      for (const [at, order] of mutations.entries()) this.#take(order, body, (error) => done(at, error));
    });
  }

  #take(order: OrderedMutation, body: Uint8Array, done: Done): void {
    const since = this.#world.env.clock.now();
    const ordered: Ordered = { order, since, done, bytes: undefined, pooled: undefined, blockChecksums: undefined };
    try {
      mustFit(order);
      this.#findBytes(ordered, body);
      const following = this.#follow(order);
      following.serial = order.serial;
      following.underWay += 1;
      if (ordered.bytes !== undefined && following.waiting.length === 0) this.#write(following, ordered);
      else this.#wait(following, ordered);
    } catch (thrown) {
      ordered.pooled?.release();
      done(toCairnError(thrown));
    }
  }

  /** @throws CairnError STALE_VERSION, CHUNK_MISSING, EXISTS, REPLICA_FAILED when the mutation does not follow what is here */
  #follow({ handle, version, serial }: OrderedMutation): Following {
    const { store, fences, inventory, leases } = this.#world;
    inventory.mustBeSound(handle);
    if (fences.of(handle) > version) throw stale(handle, version);
    const known = this.#following.get(handle);
    const info = known === undefined ? store.info(handle) : undefined;
    if (known === undefined && info === undefined) {
      // What was removed here under this version is not made anew: its primary may not have heard yet that nobody wants it.
      if (version !== 1 || serial !== 1 || leases.hasEnded(handle, version))
        throw new CairnError('CHUNK_MISSING', `chunk ${handle} is not here`);
      store.create(handle, version);
    }
    const present = known ?? info ?? { version, serial: 0 };
    if (present.version > version) throw stale(handle, version);
    const hasGap = known?.hasGap === true;
    if (!hasGap && present.version === version && present.serial >= serial) {
      // A primary that has forgotten what it ordered: it is the one that must give way.
      throw new CairnError('EXISTS', `chunk ${handle}: mutation ${version}/${serial} was ordered before`);
    }
    if (hasGap || present.version < version || present.serial + 1 !== serial) {
      const here = `${present.version}/${present.serial}`;
      throw new CairnError('REPLICA_FAILED', `chunk ${handle}: mutation ${version}/${serial} does not follow ${here}`);
    }
    if (known !== undefined) return known;
    const following = { version, serial: present.serial, underWay: 0, waiting: [], hasGap: false };
    this.#following.set(handle, following);
    return following;
  }

  /** Pushed bytes that have not come yet are waited for. @throws CairnError CHECKSUM_MISMATCH */
  #findBytes(ordered: Ordered, body: Uint8Array): void {
    const { order } = ordered;
    if (order.from.kind === 'body') {
      ordered.bytes = order.bytes === 0 ? noBytes : body.subarray(order.from.at, order.from.at + order.bytes);
      this.#check(ordered, ordered.bytes);
      return;
    }
    const staged = this.#world.staging.take(order.from.dataId);
    if (staged !== undefined) this.#arrived(ordered, staged);
  }

  #arrived(ordered: Ordered, { data, blockChecksums }: Pushed): void {
    const { order } = ordered;
    const at = order.from.at;
    ordered.pooled = data;
    ordered.bytes = data.bytes.subarray(at, at + order.bytes);
    // The whole was checked when it came.
    if (at > 0 || order.bytes !== data.bytes.length) this.#check(ordered, ordered.bytes);
    else ordered.blockChecksums = blockChecksums;
  }

  #check({ order }: Ordered, bytes: Uint8Array): void {
    if (bytes.length === order.bytes && this.#world.env.crc32(bytes) === order.crc) return;
    throw new CairnError('CHECKSUM_MISMATCH', `a mutation of chunk ${order.handle} came damaged from its primary`);
  }

  // ---------------------------------------------------------------- waiting for pushed bytes

  #wait(following: Following, ordered: Ordered): void {
    if (following.waiting.length === 0) this.#waitingChunks += 1;
    following.waiting.push(ordered);
    const { order } = ordered;
    if (ordered.bytes === undefined && order.from.kind === 'pushed') {
      this.#world.staging.expect(order.from.dataId, (pushed) => this.#arrivedLate(following, ordered, pushed));
    }
    this.#sweep ??= this.#world.env.clock.after(sweepMs, () => this.#giveUpOld());
  }

  #arrivedLate(following: Following, ordered: Ordered, pushed: Pushed): void {
    try {
      this.#arrived(ordered, pushed);
    } catch (thrown) {
      this.#failFrom(following, following.waiting.indexOf(ordered), toCairnError(thrown));
      return;
    }
    let ready = 0;
    while (ready < following.waiting.length && following.waiting[ready]!.bytes !== undefined) ready += 1;
    const gone = following.waiting.splice(0, ready);
    if (ready > 0 && following.waiting.length === 0) this.#waitingChunks -= 1;
    for (const one of gone) this.#write(following, one);
  }

  /** Without this one nothing after it can be carried out. */
  #failFrom(following: Following, at: number, error: CairnError): void {
    const failed = following.waiting.splice(at);
    if (failed.length > 0 && following.waiting.length === 0) this.#waitingChunks -= 1;
    following.hasGap = true;
    for (const { order, done, pooled } of failed) {
      if (order.from.kind === 'pushed') this.#world.staging.forget(order.from.dataId);
      pooled?.release();
      done(error);
      this.#left(order.handle, following);
    }
  }

  #overtaken(handle: ChunkHandle, version: ChunkVersion): void {
    const following = this.#following.get(handle);
    if (following === undefined || following.version >= version || following.waiting.length === 0) return;
    this.#failFrom(following, 0, stale(handle, following.version));
  }

  #giveUpOld(): void {
    this.#sweep = undefined;
    const now = this.#world.env.clock.now();
    for (const following of [...this.#following.values()]) {
      const first = following.waiting[0];
      if (first === undefined || now - first.since < this.#world.limits.stagedMaxMs) continue;
      const { handle } = first.order;
      this.#failFrom(
        following,
        0,
        new CairnError('UNAVAILABLE', `the bytes of a mutation of chunk ${handle} never came`),
      );
    }
    if (this.#waitingChunks > 0) this.#sweep = this.#world.env.clock.after(sweepMs, () => this.#giveUpOld());
  }

  // ---------------------------------------------------------------- writing

  #write(following: Following, { order, bytes, pooled, blockChecksums, done }: Ordered): void {
    const { handle, version, serial, offset, lengthBytes, window, sync } = order;
    const parts = order.bytes === 0 ? [] : [bytes!];
    this.#world.writer.write({
      mutation: {
        handle,
        version,
        serial: toMutationSerial(serial),
        offset,
        parts,
        blockChecksums,
        lengthBytes,
        window: entriesOf(window),
        sync,
      },
      bytes: order.bytes,
      isCut: order.isCut,
      written: (error) => {
        pooled?.release();
        done(error);
        this.#left(handle, following);
      },
    });
  }

  #left(handle: ChunkHandle, following: Following): void {
    following.underWay -= 1;
    if (following.underWay === 0 && this.#following.get(handle) === following) this.#following.delete(handle);
  }
}

/** @throws CairnError PROTOCOL when no chunk is so long: of a group the store would carry out none. */
function mustFit({ handle, offset, bytes, lengthBytes }: OrderedMutation): void {
  const end = Math.max(offset + bytes, lengthBytes);
  if (end <= chunkBytesMax) return;
  throw new CairnError(
    'PROTOCOL',
    `a mutation of chunk ${handle} up to ${end}; a chunk has ${chunkBytesMax} bytes at most`,
  );
}

export function stale(handle: ChunkHandle, version: number): CairnError {
  return new CairnError('STALE_VERSION', `chunk ${handle} is past version ${version} here; ask for a new grant`);
}
