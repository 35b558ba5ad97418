/** One engine under test, spoken to by hand: every message that it gets is written out in the test, and so is every write's end. */
import { type Millis, type NodeId, toMillis, toNodeId } from '../../base/brand.ts';
import { crc32 } from '../../base/crc32.ts';
import {
  defaultLimits,
  defaultTiming,
  type Engine,
  type EngineConfig,
  type Entry,
  type EntryPayload,
  type Input,
  type IoId,
  type LogIndex,
  type Members,
  type ReadId,
  type ReadLevel,
  type SnapshotPoint,
  toControlId,
  toEpoch,
} from '../engine.ts';
import { chainChecksum, makeEntry, noop } from '../entry-format.ts';
import { type Ballot, toRound } from './ballot.ts';
import type { Accept, PaxosMessage, PromiseMessage, ReportedVote } from './messages.ts';
import { MultiPaxos } from './multi-paxos.ts';
import type { PaxosEffects } from './outbox.ts';
import type { PaxosRecord } from './records.ts';

export interface Setup {
  readonly id?: number;
  readonly voters?: number;
  readonly nonVoters?: readonly number[];
  readonly config?: Partial<EngineConfig>;
  readonly records?: readonly PaxosRecord[];
  readonly applied?: SnapshotPoint;
}

export const node = toNodeId;
export const index = (n: number) => n as LogIndex;
export const ballot = (round: number, id: number): Ballot => ({ round: toRound(round), node: node(id) });
export const members = (voters: readonly number[], nonVoters: readonly number[] = []): Members => ({
  voters: voters.map(node),
  nonVoters: nonVoters.map(node),
});

type Sent<Kind extends PaxosMessage['kind']> = Extract<PaxosMessage, { kind: Kind }>;

export class OneNode {
  readonly config: EngineConfig;
  engine: Engine<PaxosMessage, PaxosRecord>;
  now = 1000;
  /** Records in the order in which they were handed out, as a disk that loses nothing would hold them. */
  readonly written: PaxosRecord[] = [];
  #lastIo = 0;
  /** Envelopes that wait for a write. */
  #gated: PaxosEffects['sendAfter'][number][] = [];
  #nextSequence = 1;
  #nextRead = 1;

  constructor(setup: Setup = {}) {
    const { id = 1, voters = 3, nonVoters = [], records = [], applied } = setup;
    this.config = {
      id: node(id),
      bootstrap: members(
        Array.from({ length: voters }, (_, i) => i + 1),
        nonVoters,
      ),
      epoch: toEpoch(1),
      seed: 1,
      crc32,
      timing: defaultTiming,
      limits: defaultLimits,
      ...setup.config,
    };
    this.engine = MultiPaxos.create(this.config, { records, applied, now: this.#now() });
    this.engine.invariants();
    this.written.push(...records);
  }

  get status() {
    return this.engine.status;
  }

  input(input: Input<PaxosMessage>): PaxosEffects {
    const effects = this.engine.step(input);
    this.engine.invariants();
    if (effects.persist !== undefined) {
      this.written.push(...effects.persist.records);
      this.#lastIo = effects.persist.io;
    }
    this.#gated.push(...effects.sendAfter);
    const last = effects.committed.at(-1)?.index;
    if (last !== undefined) this.engine.step({ kind: 'applied', index: last });
    return effects;
  }

  tick(ms: number): PaxosEffects {
    this.now += ms;
    return this.input({ kind: 'tick', now: this.#now() });
  }

  receive(from: number, message: PaxosMessage): PaxosEffects {
    return this.input({ kind: 'message', from: node(from), message, now: this.#now() });
  }

  /** The disk has done all of its writes. Returns the effects, and what was waiting for it. */
  persist(): { effects: PaxosEffects; released: PaxosMessage[] } {
    const released = this.#gated.flatMap(({ envelopes }) => envelopes.map(({ message }) => message));
    this.#gated = [];
    const effects = this.input({ kind: 'persisted', io: this.#lastIo as IoId, now: this.#now() });
    return { effects, released };
  }

  /** What waits for the disk. */
  get gated(): readonly PaxosMessage[] {
    return this.#gated.flatMap(({ envelopes }) => envelopes.map(({ message }) => message));
  }

  propose(count = 1): PaxosEffects {
    const proposals = Array.from({ length: count }, () => {
      return { session: 9, sequence: this.#nextSequence++, data: new Uint8Array(4) };
    });
    return this.input({ kind: 'propose', proposals, now: this.#now() });
  }

  read(level: ReadLevel = 'linearizable'): { id: ReadId; effects: PaxosEffects } {
    const id = this.#nextRead++ as ReadId;
    return { id, effects: this.input({ kind: 'read', id, level, now: this.#now() }) };
  }

  changeMembers(goal: Members): PaxosEffects {
    const request = { kind: 'changeMembers', members: goal } as const;
    return this.input({ kind: 'control', id: toControlId(1), request, now: this.#now() });
  }

  /** Its time-out, its pre-votes, its own promise: phase 1 is under way. Returns what it asks for. */
  campaign(electors: readonly number[] = this.#others): { ballot: Ballot; prepares: PaxosMessage[] } {
    this.tick(Math.max(0, this.engine.nextTickAt - this.now));
    const term = this.status.term + 1;
    for (const id of electors)
      this.receive(id, { kind: 'elector', message: { kind: 'preVoteResponse', term, granted: true } });
    const { released } = this.persist();
    return { ballot: ballot(term, this.config.id), prepares: released };
  }

  /** Elected with empty promises of as many others as are needed. */
  lead(): Ballot {
    const { ballot: own } = this.campaign();
    for (const id of this.#others) if (this.status.role === 'candidate') this.receive(id, promise(own, {}));
    return own;
  }

  get #others(): readonly NodeId[] {
    return this.config.bootstrap.voters.filter((id) => id !== this.config.id);
  }

  accepted(own: Ballot, first: number, last: number, extra: { match?: number; lacks?: number; round?: number } = {}) {
    const { match = last, lacks = 0, round = 0 } = extra;
    return { kind: 'accepted', ballot: own, first: index(first), last, match: index(match), lacks, round } as const;
  }

  restart(applied?: SnapshotPoint, records: readonly PaxosRecord[] = this.written): OneNode {
    const { id, bootstrap } = this.config;
    return new OneNode({ id, voters: bootstrap.voters.length, records, ...(applied && { applied }) });
  }

  #now(): Millis {
    return toMillis(this.now);
  }
}

export function value(text: number): EntryPayload {
  return { kind: 'proposal', session: 5, sequence: text, data: new Uint8Array([text]) };
}

/** Values from `first` on, chained to `previous`; each of the round given, or a no-op where undefined. */
export function chain(first: number, previous: number, ...values: readonly [round: number, payload: EntryPayload][]) {
  const entries: Entry[] = [];
  for (const [i, [round, payload]] of values.entries())
    entries.push(makeEntry(crc32, entries.at(-1)?.checksum ?? previous, round, index(first + i), payload));
  return entries;
}

export function accept(
  of: Ballot,
  entries: readonly Entry[],
  options: { first?: number; previous?: number; chosen?: number; chosenChecksum?: number; round?: number } = {},
): Accept {
  const { first = entries[0]?.index ?? 1, previous = 0, chosen = 0, chosenChecksum = 0, round = 0 } = options;
  const at = { chosenIndex: index(chosen), chosenChecksum };
  return { kind: 'accept', ballot: of, ...at, round, first: index(first), previous, entries };
}

export function promise(
  of: Ballot,
  told: { first?: number; chosen?: number; retained?: number; next?: number; votes?: readonly ReportedVote[] },
): PromiseMessage {
  const { first = 1, chosen = 0, retained = 1, next = 0, votes = [] } = told;
  const at = { first: index(first), chosenIndex: index(chosen), firstRetained: index(retained) };
  return { kind: 'promise', ballot: of, ...at, next, votes };
}

export function reported(of: Ballot, slot: number, round: number, payload: EntryPayload = noop): ReportedVote {
  const checksum = chainChecksum(crc32, 0, round, slot, payload);
  return { ballot: of, entry: { index: index(slot), term: round, payload, checksum } };
}

/** What was sent at once, of one kind, in order. */
export function sent<Kind extends PaxosMessage['kind']>(effects: PaxosEffects, kind: Kind) {
  return effects.send
    .filter(({ message }) => message.kind === kind)
    .map(({ to, message }) => ({ to: to as number, message: message as Sent<Kind> }));
}

/** Slot, ballot round and round of each vote that a step writes. */
export function votesWritten(effects: PaxosEffects): string[] {
  return (effects.persist?.records ?? []).flatMap((record) =>
    record.kind === 'accepted'
      ? [`${record.entry.index} in ${record.ballot.round}.${record.ballot.node}: ${nameOfPayload(record.entry)}`]
      : [],
  );
}

export function nameOfPayload({ term, payload }: Entry): string {
  return payload.kind === 'proposal' ? `${term}/${payload.sequence}` : `${term}/${payload.kind}`;
}
