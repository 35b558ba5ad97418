/** Collects what one step asks of the host. Empty parts are shared and frozen, so that a quiet step allocates next to nothing. */
import type { NodeId } from '../../base/brand.ts';
import type { ControlId, Dropped, Effects, Entry, Envelope, IoId, LogIndex, ReadId, TraceEvent } from '../engine.ts';
import { nextIo, noteWrite } from './durability.ts';
import type { AppendEntries, RaftMessage } from './messages.ts';
import type { RaftRecord } from './records.ts';
import type { RaftState } from './state.ts';

export type RaftEffects = Effects<RaftMessage, RaftRecord>;
type Gated = { readonly io: IoId; readonly envelopes: Envelope<RaftMessage>[] };
type Granted = { readonly id: ReadId; readonly index: LogIndex };

const none: readonly never[] = Object.freeze([]);
const noEffects: RaftEffects = Object.freeze({
  send: none,
  sendAfter: none,
  committed: none,
  reads: none,
  dropped: none,
  completed: none,
  snapshots: none,
  trace: none,
});

export class Outbox {
  readonly #state: RaftState;
  #io: IoId | undefined;
  #hardState = false;
  #mustSync = false;
  #records: RaftRecord[] | undefined;
  #send: Envelope<RaftMessage>[] | undefined;
  #sendAfter: Gated[] | undefined;
  #committed: readonly Entry[] = none;
  #reads: Granted[] | undefined;
  #dropped: Dropped[] | undefined;
  #completed: ControlId[] | undefined;
  #snapshots: { readonly to: NodeId }[] | undefined;
  #trace: TraceEvent[] | undefined;
  /** The last AppendEntries built in this step: followers that lack the same get the same message. */
  shared: { readonly message: AppendEntries; readonly bytes: number } | undefined;

  constructor(state: RaftState) {
    this.#state = state;
  }

  /** currentTerm or votedFor has changed: one record of both leads this step's batch. */
  recordHardState(): void {
    this.#hardState = true;
    this.#state.durability.termIo = this.#openIo();
    this.#mustSync = true;
  }

  /** The entry has just been appended to the log. */
  recordEntry(entry: Entry): void {
    this.#push({ kind: 'entry', entry });
    noteWrite(this.#state.durability, this.#openIo(), entry.index);
  }

  recordSnapshotPoint(): void {
    this.#push({ kind: 'snapshotPoint', point: this.#state.log.base });
  }

  #push(record: RaftRecord): void {
    this.#openIo();
    this.#mustSync = true;
    if (this.#records === undefined) this.#records = [record];
    else this.#records.push(record);
  }

  #openIo(): IoId {
    if (this.#io === undefined) {
      this.#io = nextIo(this.#state.durability, this.#state.now);
    }
    return this.#io;
  }

  send(to: NodeId, message: RaftMessage): void {
    if (this.#send === undefined) this.#send = [{ to, message }];
    else this.#send.push({ to, message });
  }

  /** The message leaves once write `io` is durable. */
  sendAfter(io: IoId, to: NodeId, message: RaftMessage): void {
    if (io <= this.#state.durability.persistedIo) {
      this.send(to, message);
      return;
    }
    this.#sendAfter ??= [];
    const same = this.#sendAfter.find((gated) => gated.io === io);
    if (same !== undefined) same.envelopes.push({ to, message });
    else this.#sendAfter.push({ io, envelopes: [{ to, message }] });
  }

  commit(entries: readonly Entry[]): void {
    this.#committed = this.#committed.length === 0 ? entries : [...this.#committed, ...entries];
  }

  grantRead(id: ReadId, index: LogIndex): void {
    this.#reads ??= [];
    this.#reads.push({ id, index });
  }

  drop(dropped: Dropped): void {
    this.#dropped ??= [];
    this.#dropped.push(dropped);
  }

  complete(id: ControlId): void {
    this.#completed ??= [];
    this.#completed.push(id);
  }

  requestSnapshot(to: NodeId): void {
    this.#snapshots ??= [];
    this.#snapshots.push({ to });
  }

  /** For what is rare. */
  trace(name: string, fields: TraceEvent['fields']): void {
    this.#trace ??= [];
    this.#trace.push({ name, fields });
  }

  effects(): RaftEffects {
    const persist = this.#takePersist();
    const effects: RaftEffects = {
      send: this.#send ?? none,
      sendAfter: this.#sendAfter ?? none,
      committed: this.#committed,
      reads: this.#reads ?? none,
      dropped: this.#dropped ?? none,
      completed: this.#completed ?? none,
      snapshots: this.#snapshots ?? none,
      trace: this.#trace ?? none,
    };
    if (persist !== undefined) return { persist, ...effects };
    return this.#isQuiet() ? noEffects : effects;
  }

  #isQuiet(): boolean {
    return (
      this.#send === undefined &&
      this.#sendAfter === undefined &&
      this.#committed.length === 0 &&
      this.#reads === undefined &&
      this.#dropped === undefined &&
      this.#completed === undefined &&
      this.#snapshots === undefined &&
      this.#trace === undefined
    );
  }

  #takePersist(): RaftEffects['persist'] {
    if (this.#io === undefined) return undefined;
    const state = this.#state;
    let records: readonly RaftRecord[] = this.#records ?? none;
    if (this.#hardState) {
      const { currentTerm, votedFor } = state;
      records = [{ kind: 'hardState', currentTerm, votedFor }, ...records];
    }
    if (state.unrecorded.length > 0) {
      records = [...state.unrecorded, ...records];
      state.unrecorded = none;
    }
    return { io: this.#io, records, mustSync: this.#mustSync };
  }
}
