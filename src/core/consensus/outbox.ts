/**
 * Collects what one step asks of the host; each engine adds its own records. Empty parts are shared and frozen, so that a quiet step
 * allocates next to nothing.
 */
import type { Millis, NodeId } from '../base/brand.ts';
import { type Durability, nextIo } from './durability.ts';
import type {
  ControlId,
  Dropped,
  Effects,
  Entry,
  Envelope,
  IoId,
  LogIndex,
  Proposal,
  ReadId,
  TraceEvent,
} from './engine.ts';

type Gated<Message> = { readonly io: IoId; readonly envelopes: Envelope<Message>[] };
type Granted = { readonly id: ReadId; readonly index: LogIndex };

const none: readonly never[] = Object.freeze([]);
const noEffects: Effects<never, never> = Object.freeze({
  send: none,
  sendAfter: none,
  committed: none,
  reads: none,
  dropped: none,
  completed: none,
  snapshots: none,
  trace: none,
});

function isSame({ session, sequence }: Pick<Proposal, 'session' | 'sequence'>, dropped: Dropped): boolean {
  return dropped.kind === 'proposal' && dropped.session === session && dropped.sequence === sequence;
}

/** What an outbox needs of the state of its engine. */
export interface Writing<LogRecord> {
  readonly now: Millis;
  readonly durability: Durability;
  /** What restoring found out that the log does not say yet; goes before the first record. */
  unrecorded: readonly LogRecord[];
}

export abstract class EngineOutbox<Message, LogRecord> {
  readonly #writing: Writing<LogRecord>;
  #io: IoId | undefined;
  #records: LogRecord[] | undefined;
  #send: Envelope<Message>[] | undefined;
  #sendAfter: Gated<Message>[] | undefined;
  #committed: readonly Entry[] = none;
  #reads: Granted[] | undefined;
  #dropped: Dropped[] | undefined;
  #completed: ControlId[] | undefined;
  #snapshots: { readonly to: NodeId }[] | undefined;
  #trace: TraceEvent[] | undefined;

  constructor(writing: Writing<LogRecord>) {
    this.#writing = writing;
  }

  /** What this step writes: the records that were pushed, and those that the engine puts around them. */
  protected abstract batch(records: readonly LogRecord[]): readonly LogRecord[];

  protected push(record: LogRecord): void {
    this.openIo();
    if (this.#records === undefined) this.#records = [record];
    else this.#records.push(record);
  }

  /** The write of this step, which there will be. */
  protected openIo(): IoId {
    this.#io ??= nextIo(this.#writing.durability, this.#writing.now);
    return this.#io;
  }

  send(to: NodeId, message: Message): void {
    if (this.#send === undefined) this.#send = [{ to, message }];
    else this.#send.push({ to, message });
  }

  /** The message leaves once write `io` is durable. */
  sendAfter(io: IoId, to: NodeId, message: Message): void {
    if (io <= this.#writing.durability.persistedIo) {
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

  effects(): Effects<Message, LogRecord> {
    const persist = this.#takePersist();
    const effects: Effects<Message, LogRecord> = {
      send: this.#send ?? none,
      sendAfter: this.#sendAfter ?? none,
      committed: this.#committed,
      reads: this.#reads ?? none,
      dropped: this.#droppedForGood(),
      completed: this.#completed ?? none,
      snapshots: this.#snapshots ?? none,
      trace: this.#trace ?? none,
    };
    if (persist !== undefined) return { persist, ...effects };
    return this.#isQuiet() ? noEffects : effects;
  }

  /** A leader that is deposed by news of what it proposed knows the outcome after all. */
  #droppedForGood(): readonly Dropped[] {
    if (this.#dropped === undefined) return none;
    if (this.#committed.length === 0) return this.#dropped;
    const isCommitted = (dropped: Dropped) =>
      this.#committed.some(({ payload }) => payload.kind === 'proposal' && isSame(payload, dropped));
    return this.#dropped.filter((dropped) => !isCommitted(dropped));
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

  #takePersist(): Effects<Message, LogRecord>['persist'] {
    if (this.#io === undefined) return undefined;
    let records = this.batch(this.#records ?? none);
    const { unrecorded } = this.#writing;
    if (unrecorded.length > 0) {
      records = [...unrecorded, ...records];
      this.#writing.unrecorded = none;
    }
    return { io: this.#io, records, mustSync: true };
  }
}
