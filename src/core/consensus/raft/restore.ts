/**
 * From the records of the write-ahead log to the state in which the node stopped. Records are read leniently where that is sound
 * (entries behind a compaction point may be missing; a batch may have been cut by a crash), and the outcome is checked strictly.
 */
import { assert } from '../../base/assert.ts';
import type { Crc32 } from '../../base/env.ts';
import { CairnError } from '../../base/errors.ts';
import { durabilityAt } from '../durability.ts';
import { createElector } from '../elector/create.ts';
import type { EngineConfig, Entry, LogIndex, Restored, SnapshotPoint } from '../engine.ts';
import { chainChecksum } from '../entry-format.ts';
import { withView } from './elector-view.ts';
import { noteOthersEntries } from './lease.ts';
import { RaftLog } from './log.ts';
import type { RaftRecord } from './records.ts';
import { longAgo, type RaftState } from './state.ts';
import { type Term, toTerm } from './term.ts';

/** @throws CairnError LOG_CORRUPT when the records leave a gap, or their hash chain does not hold. */
export function restore(config: EngineConfig, { records, applied, now }: Restored<RaftRecord>): RaftState {
  assert(config.bootstrap.voters.length > 0, 'a group has voters');
  const replay = new Replay(config);
  for (const record of records) replay.take(record);
  const wasAhead = applied !== undefined && replay.reach(applied);
  const log = replay.log();
  const appliedIndex = (applied?.index ?? 0) as LogIndex;
  if (appliedIndex < log.base.index)
    throw corrupt(`it begins after ${log.base.index}, and the state stands at ${appliedIndex}`);
  const state = withView({
    config,
    id: config.id,
    currentTerm: toTerm(Math.max(replay.currentTerm, log.lastTerm)),
    votedFor: log.lastTerm > replay.currentTerm ? undefined : replay.votedFor,
    log,
    commitIndex: appliedIndex,
    appliedIndex,
    role: 'follower',
    leader: undefined,
    now,
    elector: createElector(config.elector ?? 'timeout', config),
    durability: durabilityAt(log.lastIndex),
    votes: new Map(),
    leading: undefined,
    streaming: new Set(),
    othersLeaseUntil: longAgo,
    noLeaseBefore: undefined,
    transfer: undefined,
    unrecorded: wasAhead ? [{ kind: 'snapshotPoint', point: log.base }] : [],
  });
  if (log.lastIndex > 0) noteOthersEntries(state);
  state.elector.restart(state.view);
  return state;
}

class Replay {
  readonly #crc32: Crc32;
  currentTerm = 0 as Term;
  votedFor: RaftState['votedFor'];
  #base: SnapshotPoint;
  /** Contiguous; begins at #base.index + 1 unless entries in between have been compacted away. */
  #entries: Entry[] = [];

  constructor(config: EngineConfig) {
    this.#crc32 = config.crc32;
    this.#base = { index: 0 as LogIndex, term: 0, checksum: 0, members: config.bootstrap };
  }

  take(record: RaftRecord): void {
    switch (record.kind) {
      case 'hardState':
        this.#takeHardState(record.currentTerm, record.votedFor);
        return;
      case 'entry':
        this.#takeEntry(record.entry);
        return;
      case 'snapshotPoint':
        this.#adopt(record.point);
    }
  }

  /** A baseline may be written ahead of records that were queued before it: term and vote never go back. */
  #takeHardState(term: Term, votedFor: RaftState['votedFor']): void {
    if (term < this.currentTerm || (term === this.currentTerm && votedFor === undefined)) return;
    this.currentTerm = term;
    this.votedFor = votedFor;
  }

  #takeEntry(entry: Entry): void {
    if (entry.index <= this.#base.index) return;
    const first = this.#entries[0]?.index ?? entry.index;
    const kept = entry.index - first;
    if (kept < 0 || kept > this.#entries.length) this.#entries = [];
    else this.#entries.length = kept;
    this.#entries.push(entry);
  }

  /** Makes sure that the log goes as far as the state does. Returns true if it did not. */
  reach(applied: SnapshotPoint): boolean {
    if (applied.index < this.#base.index || this.#holds(applied)) return false;
    this.#adopt(applied);
    return true;
  }

  #holds(point: SnapshotPoint): boolean {
    const at = point.index === this.#base.index ? this.#base : this.#entries[point.index - this.#firstIndex];
    return at?.term === point.term && at.checksum === point.checksum;
  }

  get #firstIndex(): number {
    return this.#entries[0]?.index ?? this.#base.index + 1;
  }

  /** The log begins after `point`; entries that continue it stay, others never belonged to what was committed. */
  #adopt(point: SnapshotPoint): void {
    if (point.index < this.#base.index) return;
    const after = this.#entries.slice(Math.max(0, point.index + 1 - this.#firstIndex));
    this.#base = point;
    this.#entries = this.#continues(point, after) ? after : [];
  }

  /** Entries further on may still be explained by a later point. */
  #continues(point: SnapshotPoint, entries: readonly Entry[]): boolean {
    const next = entries[0];
    if (next === undefined || next.index > point.index + 1) return true;
    return chainChecksum(this.#crc32, point.checksum, next.term, next.index, next.payload) === next.checksum;
  }

  log(): RaftLog {
    const log = new RaftLog(this.#base);
    let checksum = this.#base.checksum;
    for (const entry of this.#entries) {
      if (entry.index !== log.lastIndex + 1)
        throw corrupt(`entries ${log.lastIndex + 1} to ${entry.index - 1} are missing`);
      checksum = chainChecksum(this.#crc32, checksum, entry.term, entry.index, entry.payload);
      if (checksum !== entry.checksum) throw corrupt(`entry ${entry.index} does not continue the one before it`);
      log.append(entry);
    }
    return log;
  }
}

function corrupt(what: string): CairnError {
  return new CairnError('LOG_CORRUPT', `the consensus log is damaged: ${what}; restore this node from its peers`);
}
