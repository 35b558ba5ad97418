/** What one step of Multi-Paxos asks of the host. */
import type { Effects, Entry, LogIndex } from '../engine.ts';
import { EngineOutbox } from '../outbox.ts';
import type { Accept, PaxosMessage } from './messages.ts';
import type { PaxosRecord } from './records.ts';
import type { PaxosState } from './state.ts';
import type { Vote } from './vote.ts';

export type PaxosEffects = Effects<PaxosMessage, PaxosRecord>;

export class Outbox extends EngineOutbox<PaxosMessage, PaxosRecord> {
  readonly #state: PaxosState;
  #promise = false;
  /** The last Accept with values that was built in this step: peers that lack the same get the same message. */
  shared: { readonly message: Accept; readonly last: LogIndex; readonly bytes: number } | undefined;

  constructor(state: PaxosState) {
    super(state);
    this.#state = state;
  }

  /** The promise has risen: one record of it leads this step's batch. */
  recordPromise(): void {
    this.#promise = true;
    this.#state.durability.termIo = this.openIo();
  }

  /** The vote has just been put into the log. */
  recordAccepted({ ballot, entry }: Vote): void {
    this.push({ kind: 'accepted', ballot, entry });
  }

  /** A value that follows what is chosen here. That this is so must be on record before the value is. */
  recordLearned(entry: Entry): void {
    const before = (entry.index - 1) as LogIndex;
    if (before > this.#state.recordedIndex) this.push({ kind: 'chosen', index: before });
    this.push({ kind: 'learned', entry });
    this.#state.learnedIo = this.openIo();
    this.#state.recordedIndex = entry.index;
  }

  /** What is held up to `index` is what was chosen there, and must be known to be once we say that we lack nothing. */
  recordChosen(index: LogIndex): void {
    if (index <= this.#state.recordedIndex) return;
    this.push({ kind: 'chosen', index });
    this.#state.learnedIo = this.openIo();
    this.#state.recordedIndex = index;
  }

  recordSnapshotPoint(): void {
    this.push({ kind: 'snapshotPoint', point: this.#state.log.base });
  }

  /** What is known to be chosen rides along, behind what was written of it. */
  protected override batch(records: readonly PaxosRecord[]): readonly PaxosRecord[] {
    const s = this.#state;
    const batch: PaxosRecord[] = this.#promise ? [{ kind: 'promise', ballot: s.promised }, ...records] : [...records];
    const { chosenIndex } = s.log;
    if (chosenIndex > s.recordedIndex && records.length > 0) {
      batch.push({ kind: 'chosen', index: chosenIndex });
      s.recordedIndex = chosenIndex;
    }
    return batch;
  }
}
