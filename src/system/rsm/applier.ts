/**
 * Carries committed entries into the state machine, in order, once, in slices that leave the turn free for others. Owns the
 * session table and the point up to which the state stands.
 */
import { assert } from '../../core/base/assert.ts';
import { toWallMillis } from '../../core/base/brand.ts';
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import {
  type Entry,
  type LogIndex,
  type Members,
  type SnapshotPoint,
  toLogIndex,
} from '../../core/consensus/engine.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import { batchMaxCommands, decodeBatch } from './batch.ts';
import { loadPoint, loadTime, savePoint, saveTime } from './point.ts';
import { Sessions } from './sessions.ts';
import type { StateMachine } from './state-machine.ts';

/** Commands applied in one go before others get their turn. */
const sliceMaxCommands = 512;

export type CommandOutcome = Uint8Array | CairnError;

/** Who wants to know what became of the batches of the log. */
export interface BatchListener {
  applied(session: number, sequence: number, outcomes: readonly CommandOutcome[]): void;
  /** It is committed, and a peer's state, which has it, came before its turn here: its outcomes are not known on this node. */
  skipped(session: number, sequence: number): void;
}

export class Applier {
  readonly #store: OrderedStore;
  readonly #machine: StateMachine;
  readonly #sessions = new Sessions();
  readonly #listener: BatchListener;
  #waiting: Entry[] = [];
  #waitingAt = 0;
  #point: SnapshotPoint;
  #time = 0;
  /** While a snapshot is being installed nothing is applied. */
  paused = false;

  constructor(store: OrderedStore, machine: StateMachine, bootstrap: Members, listener: BatchListener) {
    this.#store = store;
    this.#machine = machine;
    this.#listener = listener;
    this.#point = { index: toLogIndex(0), term: 0, checksum: 0, members: bootstrap };
    this.reload();
  }

  get point(): SnapshotPoint {
    return this.#point;
  }
  get appliedIndex(): LogIndex {
    return this.#point.index;
  }
  /** Entries up to here are applied or wait to be, without a gap. */
  get heldIndex(): LogIndex {
    return this.#waitingAt < this.#waiting.length ? this.#waiting.at(-1)!.index : this.#point.index;
  }
  /** The time of the last batch applied: a leader proposes no earlier one. */
  get time(): number {
    return this.#time;
  }
  knows(client: number): boolean {
    return this.#sessions.has(client);
  }
  get idle(): boolean {
    return this.#waitingAt === this.#waiting.length;
  }

  /** Takes the store's content as it is now: at opening, and when a snapshot has replaced it. */
  reload(): void {
    const point = loadPoint(this.#store);
    if (point !== undefined) this.#point = point;
    this.#time = loadTime(this.#store);
    assert(this.#store.appliedIndex === this.#point.index, 'data and applied point are of one moment', {
      store: this.#store.appliedIndex,
      point: this.#point.index,
    });
    this.#sessions.load(this.#store);
    this.#machine.reset(this.#store);
    const waiting = this.#waiting.slice(this.#waitingAt);
    this.#waiting = waiting.filter((entry) => entry.index > this.#point.index);
    this.#waitingAt = 0;
    for (const entry of waiting) if (entry.index <= this.#point.index) this.#skip(entry);
  }

  queue(entries: readonly Entry[]): void {
    for (const entry of entries) this.#waiting.push(entry);
  }

  /** Applies the next slice; true if more is waiting. */
  applySlice(): boolean {
    if (this.paused) return false;
    let commands = 0;
    while (this.#waitingAt < this.#waiting.length && commands < sliceMaxCommands) {
      commands += this.#apply(this.#waiting[this.#waitingAt++]!);
    }
    if (!this.idle) return true;
    this.#waiting = [];
    this.#waitingAt = 0;
    return false;
  }

  /** Puts sessions and point into the store, so that what is flushed or frozen next is whole. */
  save(): void {
    this.#machine.save?.();
    this.#sessions.save(this.#store);
    savePoint(this.#store, this.#point);
    if (this.#time > 0) saveTime(this.#store, this.#time);
  }

  #apply(entry: Entry): number {
    if (entry.index <= this.#point.index) return this.#skip(entry); // the store is ahead of the log
    assert(entry.index === this.#point.index + 1, 'entries are applied without a gap', { index: entry.index });
    const members = entry.payload.kind === 'members' ? entry.payload.members : this.#point.members;
    let commands = 1;
    if (entry.payload.kind === 'proposal') {
      const { session, sequence, data } = entry.payload;
      const outcomes = this.#applyBatch(data, entry.index);
      commands = outcomes.length;
      this.#listener.applied(session, sequence, outcomes);
    }
    this.#point = { index: entry.index, term: entry.term, checksum: entry.checksum, members };
    this.#store.applied(entry.index);
    return commands;
  }

  #skip({ payload }: Entry): 0 {
    if (payload.kind === 'proposal') this.#listener.skipped(payload.session, payload.sequence);
    return 0;
  }

  #applyBatch(data: Uint8Array, index: LogIndex): CommandOutcome[] {
    const batch = decodeBatch(data);
    this.#time = Math.max(this.#time, batch.time);
    const context = { index, time: toWallMillis(this.#time), store: this.#store };
    const outcomes: CommandOutcome[] = [];
    let order = index * batchMaxCommands;
    for (const command of batch.commands) {
      if (command.client === 0) {
        outcomes.push(this.#machine.apply(command.command, context));
        continue;
      }
      if (command.command.length === 0) {
        this.#sessions.touch(command, this.#time, order++);
        outcomes.push(command.command);
        continue;
      }
      const verdict = this.#sessions.admit(command, this.#time, order++);
      if (verdict.kind === 'fresh') {
        const result = this.#machine.apply(command.command, context);
        this.#sessions.record(command, result);
        outcomes.push(result);
      } else outcomes.push(verdict.kind === 'repeated' ? verdict.result : refusal(verdict.kind));
    }
    this.#sessions.expire(this.#time);
    return outcomes;
  }
}

const refusals: Readonly<Record<'expired' | 'tooFarAhead', readonly [ErrorCode, string]>> = {
  expired: [
    'SESSION_EXPIRED',
    'this client was away too long for its retry to be recognised; look whether it took effect',
  ],
  tooFarAhead: ['BUSY', 'this client has too many unacknowledged commands; let some finish first'],
};

function refusal(kind: keyof typeof refusals): CairnError {
  return new CairnError(...refusals[kind]);
}
