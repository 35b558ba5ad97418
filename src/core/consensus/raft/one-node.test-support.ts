/** One engine under test, spoken to by hand: every message that it gets is written out in the test, and so is every write's end. */
import { type Millis, type NodeId, toMillis, toNodeId } from '../../base/brand.ts';
import { crc32 } from '../../base/crc32.ts';
import type { ElectorMessage } from '../elector/messages.ts';
import {
  defaultLimits,
  defaultTiming,
  type Engine,
  type EngineConfig,
  type EngineLimits,
  type Entry,
  type Input,
  type IoId,
  type LeaseTerms,
  type LogIndex,
  type Members,
  type Proposal,
  type ReadId,
  type ReadLevel,
  type SnapshotPoint,
  toEpoch,
} from '../engine.ts';
import { makeEntry, noop } from '../entry-format.ts';
import type { AppendEntries, AppendEntriesAccepted, AppendEntriesRejected, RaftMessage } from './messages.ts';
import type { RaftEffects } from './outbox.ts';
import { Raft } from './raft.ts';
import type { RaftRecord } from './records.ts';
import type { Term } from './term.ts';

export interface Setup {
  readonly id?: number;
  readonly voters?: number;
  readonly nonVoters?: readonly number[];
  readonly seed?: number;
  readonly limits?: Partial<EngineLimits>;
  readonly lease?: LeaseTerms | undefined;
  readonly records?: readonly RaftRecord[];
  readonly applied?: SnapshotPoint;
}

export const node = toNodeId;
export const index = (n: number) => n as LogIndex;
export const term = (n: number) => n as Term;

export function configOf({ id = 1, voters = 3, nonVoters = [], seed = 1, limits = {}, lease }: Setup): EngineConfig {
  const bootstrap: Members = {
    voters: Array.from({ length: voters }, (_, i) => node(i + 1)),
    nonVoters: nonVoters.map(node),
  };
  const timing = defaultTiming;
  return {
    id: node(id),
    bootstrap,
    epoch: toEpoch(1),
    seed,
    crc32,
    timing,
    limits: { ...defaultLimits, ...limits },
    ...(lease && { lease }),
  };
}

type Sent<Kind extends RaftMessage['kind']> = Extract<RaftMessage, { kind: Kind }>;

export class OneNode {
  readonly config: EngineConfig;
  engine: Engine<RaftMessage, RaftRecord>;
  now = 1000;
  /** Records in the order in which they were handed out, as a disk that loses nothing would hold them. */
  readonly written: RaftRecord[] = [];
  #lastIo = 0;
  /** Envelopes that wait for a write. */
  #gated: RaftEffects['sendAfter'][number][] = [];
  #nextSequence = 1;
  #nextRead = 1;

  constructor(setup: Setup = {}) {
    this.config = configOf(setup);
    const { records = [], applied } = setup;
    this.engine = Raft.create(this.config, { records, applied, now: this.#now() });
    this.written.push(...records);
  }

  get status() {
    return this.engine.status;
  }
  get leads(): boolean {
    return this.status.role === 'leader';
  }

  input(input: Input<RaftMessage>): RaftEffects {
    const effects = this.engine.step(input);
    this.engine.invariants();
    if (effects.persist !== undefined) {
      this.written.push(...effects.persist.records);
      this.#lastIo = effects.persist.io;
    }
    this.#gated.push(...effects.sendAfter);
    return effects;
  }

  /** Lets time pass, then ticks. */
  tick(ms: number): RaftEffects {
    this.now += ms;
    return this.input({ kind: 'tick', now: this.#now() });
  }

  /** Lets its election timeout pass. */
  timeOut(): RaftEffects {
    return this.tick(Math.max(0, this.engine.nextTickAt - this.now));
  }

  receive(from: number, message: RaftMessage): RaftEffects {
    return this.input({ kind: 'message', from: node(from), message, now: this.#now() });
  }

  /** The disk has done all (or `io` of) its writes. Returns the effects, and what was waiting for it. */
  persist(io = this.#lastIo): { effects: RaftEffects; released: RaftMessage[] } {
    const ready = this.#gated.filter((gated) => gated.io <= io);
    this.#gated = this.#gated.filter((gated) => gated.io > io);
    const effects = this.input({ kind: 'persisted', io: io as IoId, now: this.#now() });
    return { effects, released: ready.flatMap(({ envelopes }) => envelopes.map(({ message }) => message)) };
  }

  get lastIo(): number {
    return this.#lastIo;
  }

  propose(count = 1, bytes = 4): RaftEffects {
    const proposals: Proposal[] = [];
    for (let i = 0; i < count; i++)
      proposals.push({ session: 9, sequence: this.#nextSequence++, data: new Uint8Array(bytes) });
    return this.input({ kind: 'propose', proposals, now: this.#now() });
  }

  read(level: ReadLevel = 'linearizable'): { id: ReadId; effects: RaftEffects } {
    const id = this.#nextRead++ as ReadId;
    return { id, effects: this.input({ kind: 'read', id, level, now: this.#now() }) };
  }

  applied(upTo: number): void {
    this.input({ kind: 'applied', index: index(upTo) });
  }

  /** Through pre-vote and vote, with answers from the lowest ids; its no-op is at the end of the log, not yet durable. */
  elect(): RaftEffects {
    this.timeOut();
    const candidateTerm = term(this.status.term + 1);
    const others = this.config.bootstrap.voters.filter((id) => id !== this.config.id);
    const needed = others.slice(0, Math.floor(this.config.bootstrap.voters.length / 2));
    for (const id of needed) this.receive(id, preVoteAnswer(candidateTerm, true));
    let { effects } = this.persist();
    for (const id of needed)
      effects = this.receive(id, { kind: 'requestVoteResponse', term: candidateTerm, voteGranted: true });
    return effects;
  }

  /** Elected, and with its no-op committed by everybody. */
  lead(): void {
    this.elect();
    this.persist();
    this.ackAll();
  }

  /** All followers answer that they have the whole log. */
  ackAll(): void {
    for (const id of this.status.lagPerPeer.keys()) this.ack(id);
  }

  ack(from: number, acceptedIndex: number = this.status.lastIndex, round = 0): RaftEffects {
    return this.receive(from, this.accepted(acceptedIndex, round));
  }

  accepted(acceptedIndex: number, round = 0, matchIndex = acceptedIndex): AppendEntriesAccepted {
    const { term } = this.status;
    return {
      kind: 'appendEntriesAccepted',
      term: term as Term,
      acceptedIndex: index(acceptedIndex),
      matchIndex: index(matchIndex),
      round,
    };
  }

  rejected(prevLogIndex: number, hintIndex: number, hintTerm: number, round = 0): AppendEntriesRejected {
    return {
      kind: 'appendEntriesRejected',
      term: this.status.term as Term,
      prevLogIndex: index(prevLogIndex),
      hintIndex: index(hintIndex),
      hintTerm: term(hintTerm),
      round,
    };
  }

  /** The terms of the log, from its first index; what is compacted is left out. */
  get terms(): number[] {
    const kept = new Map<number, number>();
    for (const record of this.written) {
      if (record.kind !== 'entry') continue;
      for (const at of [...kept.keys()]) if (at >= record.entry.index) kept.delete(at);
      kept.set(record.entry.index, record.entry.term);
    }
    return [...kept].sort(([a], [b]) => a - b).map(([, t]) => t);
  }

  restart(applied?: SnapshotPoint): OneNode {
    const { id, seed, lease } = this.config;
    return new OneNode({
      id,
      voters: this.config.bootstrap.voters.length,
      seed,
      lease,
      records: this.written,
      ...(applied && { applied }),
    });
  }

  #now(): Millis {
    return toMillis(this.now);
  }
}

/** A log by the terms of its entries, as in the figures of the paper: each a no-op, hash-chained. */
export function logOf(...terms: readonly number[]): Entry[] {
  const entries: Entry[] = [];
  for (const [i, t] of terms.entries())
    entries.push(makeEntry(crc32, entries.at(-1)?.checksum ?? 0, t, index(i + 1), noop));
  return entries;
}

export function recordsOf(currentTerm: number, entries: readonly Entry[], votedFor?: number): RaftRecord[] {
  const vote = votedFor === undefined ? undefined : node(votedFor);
  return [
    { kind: 'hardState', currentTerm: term(currentTerm), votedFor: vote },
    ...entries.map((entry): RaftRecord => ({ kind: 'entry', entry })),
  ];
}

export function pointOf(entries: readonly Entry[], at: number, voters = 3): SnapshotPoint {
  const { term: t, checksum } = entries[at - 1]!;
  const members: Members = { voters: Array.from({ length: voters }, (_, i) => node(i + 1)), nonVoters: [] };
  return { index: index(at), term: t, checksum, members };
}

/** AppendEntries of the entries after `prev` of a leader whose log is `log`. */
export function appendEntriesOf(
  leaderTerm: number,
  log: readonly Entry[],
  prev: number,
  options: { upTo?: number; commit?: number; round?: number } = {},
): AppendEntries {
  const { upTo = log.length, commit = 0, round = 0 } = options;
  return {
    kind: 'appendEntries',
    term: term(leaderTerm),
    prevLogIndex: index(prev),
    prevLogTerm: term(prev === 0 ? 0 : log[prev - 1]!.term),
    leaderCommit: index(commit),
    round,
    entries: log.slice(prev, upTo),
  };
}

export function preVote(ofTerm: number, standingTerm = 0, standingIndex = 0): RaftMessage {
  return { kind: 'elector', message: { kind: 'preVote', term: ofTerm, standingTerm, standingIndex } };
}

export function preVoteAnswer(ofTerm: number, granted: boolean): RaftMessage {
  return { kind: 'elector', message: { kind: 'preVoteResponse', term: ofTerm, granted } };
}

/** What electors said of one kind, in order. */
export function said<Kind extends ElectorMessage['kind']>(effects: RaftEffects, kind: Kind) {
  return sent(effects, 'elector')
    .filter(({ message }) => message.message.kind === kind)
    .map(({ to, message }) => ({ to, message: message.message as Extract<ElectorMessage, { kind: Kind }> }));
}

/** What was sent of one kind, in order. */
export function sent<Kind extends RaftMessage['kind']>(effects: RaftEffects, kind: Kind) {
  return effects.send
    .filter(({ message }) => message.kind === kind)
    .map(({ to, message }) => ({ to: to as NodeId, message: message as Sent<Kind> }));
}
