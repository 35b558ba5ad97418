/**
 * From the records of the write-ahead log to the state in which the node stopped. Records are read leniently where that is sound
 * (slots behind a compaction point may be missing; a batch may have been cut by a crash), and the outcome is checked strictly.
 */
import { assert } from '../../base/assert.ts';
import type { Millis } from '../../base/brand.ts';
import type { Crc32 } from '../../base/env.ts';
import { CairnError } from '../../base/errors.ts';
import { durabilityAt } from '../durability.ts';
import { createElector } from '../elector/create.ts';
import type { EngineConfig, Entry, IoId, LogIndex, Restored, SnapshotPoint } from '../engine.ts';
import { chainChecksum } from '../entry-format.ts';
import { nextUniform, seededStream } from '../seeded-stream.ts';
import { type Ballot, compareBallots, noBallot } from './ballot.ts';
import { type Configuration, configurationAfter, configurationAt, windowOf } from './configuration.ts';
import { withView } from './elector-view.ts';
import { leaseEnd } from './leases.ts';
import type { PaxosRecord } from './records.ts';
import { SlotLog } from './slot-log.ts';
import type { PaxosState } from './state.ts';
import { Vote } from './vote.ts';

/** @throws CairnError LOG_CORRUPT when slots are missing that were chosen, or their hash chain does not hold. */
export function restore(config: EngineConfig, { records, applied, now }: Restored<PaxosRecord>): PaxosState {
  assert(config.bootstrap.voters.length > 0, 'a group has voters');
  const windowSlots = windowOf(config);
  assert(Number.isSafeInteger(windowSlots) && windowSlots > 0, 'a window has at least one slot', { windowSlots });
  const replay = new Replay(config);
  for (const record of records) replay.take(record);
  const { base, isNew } = replay.settle(applied);
  const log = replay.log(applied?.index ?? base.index);
  const isNewcomer = records.length === 0 && applied === undefined;
  const leaseUntil = isNewcomer ? (0 as Millis) : leaseEnd(now, config.lease);
  const state = withView({
    config,
    id: config.id,
    promised: replay.promised,
    log,
    appliedIndex: log.chosenIndex,
    recoveredIndex: replay.chosenIndex,
    recordedIndex: replay.chosenIndex,
    learnedIo: 0 as IoId,
    role: 'follower',
    leader: undefined,
    roundSeen: replay.promised.round,
    now,
    elector: createElector(config.elector ?? 'timeout', config),
    durability: durabilityAt(log.chosenIndex),
    configuration: configurationOf(log, config),
    following: undefined,
    campaign: undefined,
    leading: undefined,
    learning: undefined,
    stateArriving: false,
    streaming: new Set(),
    othersLeaseUntil: leaseUntil,
    anybodysLeaseUntil: leaseUntil,
    quorumReads: { token: firstToken(config, now), waiting: [], round: undefined },
    transfer: undefined,
    unrecorded: isNew ? [{ kind: 'snapshotPoint', point: base }] : [],
  });
  state.elector.restart(state.view);
  return state;
}

/** Where the tokens of this life of the node begin: somewhere below 2^52. */
function firstToken({ seed, id }: EngineConfig, now: Millis): number {
  const stream = seededStream(seed + Math.floor(now * 1000), id);
  return Math.floor(nextUniform(stream) * 0x10_0000) * 0x1_0000_0000 + Math.floor(nextUniform(stream) * 0x1_0000_0000);
}

function configurationOf(log: SlotLog, config: EngineConfig): Configuration {
  const last = log.configurations.at(-1);
  if (last !== undefined) return configurationAfter(last.slot, last.members, config);
  return configurationAt(log.base.index, log.base.members, config);
}

class Replay {
  readonly #crc32: Crc32;
  promised: Ballot = noBallot;
  #base: SnapshotPoint;
  readonly #votes = new Map<number, Vote>();
  /** What is held in slots up to here was chosen, as records say it. */
  #recorded = 0;
  /** What is held in slots up to here was chosen, as is proven. */
  chosenIndex = 0 as LogIndex;

  constructor(config: EngineConfig) {
    this.#crc32 = config.crc32;
    this.#base = { index: 0 as LogIndex, term: 0, checksum: 0, members: config.bootstrap };
  }

  take(record: PaxosRecord): void {
    switch (record.kind) {
      case 'promise':
        this.#promise(record.ballot);
        return;
      case 'accepted':
        this.#promise(record.ballot);
        this.#hold(new Vote(record.ballot, record.entry, undefined));
        return;
      case 'learned': {
        const vote = new Vote(noBallot, record.entry, undefined);
        vote.chosen = true;
        this.#hold(vote);
        return;
      }
      case 'chosen':
        this.#recorded = Math.max(this.#recorded, record.index);
        return;
      case 'snapshotPoint':
        if (record.point.index >= this.#base.index) this.#adopt(record.point);
    }
  }

  /** A baseline may be written ahead of records that were queued before it: a promise never goes back. */
  #promise(ballot: Ballot): void {
    if (compareBallots(ballot, this.promised) > 0) this.promised = ballot;
  }

  #hold(vote: Vote): void {
    if (vote.entry.index > this.#base.index) this.#votes.set(vote.entry.index, vote);
  }

  #adopt(point: SnapshotPoint): void {
    this.#base = point;
    for (const slot of this.#votes.keys()) if (slot <= point.index) this.#votes.delete(slot);
  }

  /** Finds how far the log is known to be chosen, and makes sure that this is as far as the state goes. */
  settle(applied: SnapshotPoint | undefined): { readonly base: SnapshotPoint; readonly isNew: boolean } {
    const appliedIndex = applied?.index ?? 0;
    if (appliedIndex < this.#base.index)
      throw corrupt(`it begins after ${this.#base.index}, and the state stands at ${appliedIndex}`);
    const isNew = applied !== undefined && !this.#leadsTo(applied);
    if (isNew) this.#adopt(applied);
    this.#prove(appliedIndex);
    return { base: this.#base, isNew };
  }

  /** Whether the slots up to the point are here, and are what was applied: the hash chain tells. */
  #leadsTo(point: SnapshotPoint): boolean {
    let { index, checksum } = this.#base;
    while (index < point.index) {
      const entry = this.#votes.get(index + 1)?.entry;
      if (entry === undefined || this.#continued(checksum, entry) !== entry.checksum) return false;
      checksum = entry.checksum;
      index = entry.index;
    }
    return checksum === point.checksum;
  }

  #prove(appliedIndex: number): void {
    let { index, checksum } = this.#base;
    for (;;) {
      const vote = this.#votes.get(index + 1);
      const isChosen = index + 1 <= Math.max(this.#recorded, appliedIndex) || vote?.chosen === true;
      if (!isChosen) break;
      if (vote === undefined) throw corrupt(`slot ${index + 1} is missing, which was chosen`);
      if (this.#continued(checksum, vote.entry) !== vote.entry.checksum)
        throw corrupt(`slot ${index + 1} does not continue the one before it`);
      checksum = vote.entry.checksum;
      index = vote.entry.index;
    }
    this.chosenIndex = index;
  }

  #continued(checksum: number, { term, index, payload }: Entry): number {
    return chainChecksum(this.#crc32, checksum, term, index, payload);
  }

  /** Delivered up to `appliedIndex`. */
  log(appliedIndex: LogIndex): SlotLog {
    const log = new SlotLog(this.#base);
    const slots = [...this.#votes.values()].sort((a, b) => a.entry.index - b.entry.index);
    for (const vote of slots) {
      const isOpen = vote.entry.index > this.chosenIndex;
      if (isOpen && vote.ballot === noBallot)
        throw corrupt(`what was chosen before slot ${vote.entry.index} is missing`);
      log.put(vote);
    }
    while (log.chosenIndex < appliedIndex) log.deliver(this.#crc32);
    return log;
  }
}

function corrupt(what: string): CairnError {
  return new CairnError('LOG_CORRUPT', `the consensus log is damaged: ${what}; restore this node from its peers`);
}
