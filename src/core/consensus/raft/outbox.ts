/** What one step of Raft asks of the host. */
import { noteWrite } from '../durability.ts';
import type { Effects, Entry } from '../engine.ts';
import { EngineOutbox } from '../outbox.ts';
import type { AppendEntries, RaftMessage } from './messages.ts';
import type { RaftRecord } from './records.ts';
import type { RaftState } from './state.ts';

export type RaftEffects = Effects<RaftMessage, RaftRecord>;

export class Outbox extends EngineOutbox<RaftMessage, RaftRecord> {
  readonly #state: RaftState;
  #hardState = false;
  /** The last AppendEntries built in this step: followers that lack the same get the same message. */
  shared: { readonly message: AppendEntries; readonly bytes: number } | undefined;

  constructor(state: RaftState) {
    super(state);
    this.#state = state;
  }

  /** currentTerm or votedFor has changed: one record of both leads this step's batch. */
  recordHardState(): void {
    this.#hardState = true;
    this.#state.durability.termIo = this.openIo();
  }

  /** The entry has just been appended to the log. */
  recordEntry(entry: Entry): void {
    this.push({ kind: 'entry', entry });
    noteWrite(this.#state.durability, this.openIo(), entry.index);
  }

  recordSnapshotPoint(): void {
    this.push({ kind: 'snapshotPoint', point: this.#state.log.base });
  }

  protected override batch(records: readonly RaftRecord[]): readonly RaftRecord[] {
    if (!this.#hardState) return records;
    const { currentTerm, votedFor } = this.#state;
    return [{ kind: 'hardState', currentTerm, votedFor }, ...records];
  }
}
