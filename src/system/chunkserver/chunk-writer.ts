/**
 * The order in which chunks of this server change, and group commit. Each chunk has a queue: mutations, and tasks that want the
 * chunk for themselves (adoption, removal). What is ready in one turn, of all chunks, is one group for the store; while groups are
 * being written the next one gathers.
 *
 * Invariant: at any time a chunk is in at most one group or task. After a failed group its chunks take no mutation until they are
 * mended by an adoption: else one with a later serial could leave a gap.
 */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { type CairnError, toCairnError } from '../../core/base/errors.ts';
import { type ChunkMutation, type ChunkStore, GroupError } from '../storage/chunk-store.ts';
import type { Limits } from './limits.ts';

export interface LocalWrite {
  readonly mutation: ChunkMutation;
  readonly bytes: number;
  /** It may make the chunk shorter: nothing else of the chunk goes along with it. */
  readonly isCut: boolean;
  /** Called once. */
  written(error: CairnError | undefined): void;
}

export interface WriterEvents {
  /** The store has ended all changes. */
  storeFailed(error: CairnError): void;
  /** The chunk is another one than before: longer, of another version, or gone. */
  changed(handle: ChunkHandle): void;
}

interface Task {
  readonly run: () => Promise<void>;
}

interface Slot {
  readonly handle: ChunkHandle;
  queue: (LocalWrite | Task)[];
  isBusy: boolean;
}

export class ChunkWriter {
  readonly #env: Env;
  readonly #store: ChunkStore;
  readonly #limits: Limits;
  readonly #on: WriterEvents;
  readonly #slots = new Map<ChunkHandle, Slot>();
  /** Those with a queue that are not busy. */
  readonly #ready = new Set<Slot>();
  readonly #broken = new Map<ChunkHandle, CairnError>();
  #groups = 0;
  #tasks = 0;
  #isPlanned = false;
  #closing: (() => void) | undefined;

  constructor(env: Env, store: ChunkStore, limits: Limits, on: WriterEvents) {
    this.#env = env;
    this.#store = store;
    this.#limits = limits;
    this.#on = on;
  }

  /** Why the chunk takes no mutations, if it does not. */
  brokenBy(handle: ChunkHandle): CairnError | undefined {
    return this.#broken.get(handle);
  }

  write(write: LocalWrite): void {
    this.#enqueue(write.mutation.handle, write);
  }

  /** Runs `run` when all that was queued for the chunk before is done, and holds back what is queued after. */
  exclusive<T>(handle: ChunkHandle, run: () => Promise<T> | T): Promise<T> {
    return new Promise((resolve, reject) => {
      const task = async () => {
        try {
          resolve(await run());
        } catch (thrown) {
          reject(toCairnError(thrown));
        }
      };
      this.#enqueue(handle, { run: task });
    });
  }

  /** Begins nothing more; resolves when nothing is under way. What waits is left as it is. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closing = resolve;
      this.#settleClosing();
    });
  }

  #settleClosing(): void {
    if (this.#groups === 0 && this.#tasks === 0) this.#closing?.();
  }

  /** The chunk was made anew or is gone. */
  mended(handle: ChunkHandle): void {
    this.#broken.delete(handle);
  }

  #enqueue(handle: ChunkHandle, item: LocalWrite | Task): void {
    let slot = this.#slots.get(handle);
    if (slot === undefined) {
      slot = { handle, queue: [], isBusy: false };
      this.#slots.set(handle, slot);
    }
    slot.queue.push(item);
    if (slot.isBusy) return;
    this.#ready.add(slot);
    this.#plan();
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#env.clock.soon(() => {
      this.#isPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#ready.size > 0 && this.#groups < this.#limits.groupsMax && this.#closing === undefined) {
      const group: LocalWrite[] = [];
      const slots: Slot[] = [];
      this.#gather(group, slots);
      if (group.length > 0) this.#writeGroup(group, slots);
    }
  }

  #gather(group: LocalWrite[], slots: Slot[]): void {
    let bytes = 0;
    for (const slot of this.#ready) {
      if (bytes >= this.#limits.groupBytesMax || group.length >= this.#limits.groupMutationsMax) return;
      this.#ready.delete(slot);
      slot.isBusy = true;
      const first = slot.queue[0]!;
      if ('run' in first || first.isCut) {
        slot.queue.shift();
        this.#runAlone(slot, 'run' in first ? first.run : () => this.#cut(first));
        continue;
      }
      const count = this.#takeable(slot, bytes, group.length);
      for (const item of slot.queue.splice(0, count)) {
        const write = item as LocalWrite;
        bytes += write.bytes;
        group.push(write);
      }
      slots.push(slot);
    }
  }

  #runAlone(slot: Slot, run: () => Promise<void>): void {
    this.#tasks += 1;
    void run().then(() => {
      this.#tasks -= 1;
      this.#on.changed(slot.handle);
      this.#free(slot);
    });
  }

  async #cut(write: LocalWrite): Promise<void> {
    const { handle } = write.mutation;
    const broken = this.#broken.get(handle);
    const failure = broken ?? (await this.#attempt(1, () => this.#cutOrExtend(write.mutation)));
    if (failure !== undefined) this.#broken.set(handle, failure);
    write.written(failure);
  }

  /** Replicas of one chunk need not be of one length (mode gfs): what cuts others may extend this one. */
  #cutOrExtend(mutation: ChunkMutation): Promise<void> {
    const present = this.#store.info(mutation.handle)?.lengthBytes ?? 0;
    return mutation.lengthBytes > present ? this.#store.apply([mutation]) : this.#store.cut(mutation);
  }

  /** How many mutations at the head of the queue still belong to the group: at least one. */
  #takeable(slot: Slot, bytesBefore: number, countBefore: number): number {
    let bytes = bytesBefore;
    let count = 0;
    for (const item of slot.queue) {
      if ('run' in item || item.isCut) break;
      if (count > 0 && (bytes >= this.#limits.groupBytesMax || countBefore + count >= this.#limits.groupMutationsMax)) {
        break;
      }
      bytes += item.bytes;
      count += 1;
    }
    return count;
  }

  #writeGroup(group: LocalWrite[], slots: Slot[]): void {
    const whole = this.#broken.size === 0 ? group : this.#refuseBroken(group);
    if (whole.length === 0) {
      for (const slot of slots) this.#free(slot);
      return;
    }
    this.#groups += 1;
    const mutations = whole.map((write) => write.mutation);
    this.#attempt(whole.length, () => this.#store.apply(mutations)).then((failure) => {
      this.#groups -= 1;
      for (const write of whole) {
        const { handle } = write.mutation;
        const error = failure instanceof GroupError ? failure.failures.get(handle) : failure;
        if (error !== undefined) this.#broken.set(handle, error);
        write.written(error);
      }
      for (const slot of slots) {
        this.#on.changed(slot.handle);
        this.#free(slot);
      }
    });
  }

  async #attempt(mutations: number, change: () => Promise<void>): Promise<CairnError | undefined> {
    try {
      await change();
      return undefined;
    } catch (thrown) {
      const error = toCairnError(thrown);
      this.#env.events.emit('error', 'chunkserver.writeFailed', { mutations, code: error.code, error });
      if (this.#store.hasFailed) this.#on.storeFailed(error);
      return error;
    }
  }

  #refuseBroken(group: readonly LocalWrite[]): LocalWrite[] {
    return group.filter((write) => {
      const error = this.#broken.get(write.mutation.handle);
      if (error !== undefined) write.written(error);
      return error === undefined;
    });
  }

  #free(slot: Slot): void {
    slot.isBusy = false;
    if (slot.queue.length === 0) {
      this.#slots.delete(slot.handle);
    } else {
      this.#ready.add(slot);
    }
    if (this.#ready.size > 0) this.#plan();
    this.#settleClosing();
  }
}
