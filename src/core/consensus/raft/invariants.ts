/** What holds in a Raft node between steps, and what may only grow from one step to the next. */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import { entryBytes } from '../entry-format.ts';
import { neverFalls } from '../never-falls.ts';
import { peersOf } from '../quorums.ts';
import type { Progress } from './progress.ts';
import { type Leading, membersOf, type RaftState } from './state.ts';

/** Each check looks at what has changed since the one before; after so many of them one looks at everything. */
const wholeEvery = 1024;

/** What was seen by the last check. Kept up to date in place: there is a check after every step. */
export interface Watermarks {
  checks: number;
  currentTerm: number;
  votedFor: number | undefined;
  commitIndex: number;
  /** Of the entry at commitIndex, while it was held: it must not change. */
  commitChecksum: number | undefined;
  appliedIndex: number;
  baseIndex: number;
  lastIndex: number;
  lastIo: number;
  persistedIo: number;
  /** Set while it led. */
  leading: Leading | undefined;
  /** Of the entries after commitIndex up to lastIndex, while it led. */
  uncommittedBytes: number;
}

export function checkInvariants(s: RaftState, before: Watermarks | undefined): Watermarks {
  const isWhole = before === undefined || before.checks % wholeEvery === 0;
  checkLog(s, isWhole);
  checkRole(s);
  checkDurability(s);
  const bytes = s.leading === undefined ? 0 : uncommittedBytes(s, isWhole ? undefined : before);
  if (s.leading !== undefined) checkLeading(s, s.leading, bytes);
  if (before === undefined) return watermarksOf(s, bytes);
  checkGrowth(s, before);
  note(s, bytes, before);
  return before;
}

function checkLog(s: RaftState, isWhole: boolean): void {
  const { log } = s;
  log.invariants(s.config.crc32, isWhole);
  assert(log.lastTerm <= s.currentTerm, 'no entry is of a term to come', { lastTerm: log.lastTerm });
  assert(log.base.index <= s.appliedIndex, 'only what is applied is compacted', { base: log.base.index });
  assert(s.appliedIndex <= s.commitIndex, 'only what is committed is applied', { appliedIndex: s.appliedIndex });
  assert(s.commitIndex <= log.lastIndex, 'only what is in the log is committed', { commitIndex: s.commitIndex });
}

function checkRole(s: RaftState): void {
  const { role } = s;
  assert((role === 'leader') === (s.leading !== undefined), "a leader's state exists while it leads", { role });
  assert((role === 'leader') === (s.leader === s.id), 'who leads knows that it does', { role });
  if (role === 'leader' || role === 'candidate')
    assert(s.votedFor === s.id, 'a candidate votes for itself', { votedFor: s.votedFor });
  if (role === 'candidate' || role === 'preCandidate')
    assert(s.leader === undefined, 'who seeks election knows no leader', { leader: s.leader });
}

function checkDurability(s: RaftState): void {
  const d = s.durability;
  assert(d.persistedIo <= d.lastIo && d.termIo <= d.lastIo, 'writes are counted in one order', { lastIo: d.lastIo });
  assert(d.durableIndex <= s.log.lastIndex, 'what is durable is in the log', { durableIndex: d.durableIndex });
  let last: number = d.durableIndex;
  let io: number = d.persistedIo;
  for (const write of d.pending) {
    assert(write.io > io, 'writes end in their order', { io: write.io });
    io = write.io;
    if (write.lastIndex > last) last = write.lastIndex;
  }
  assert(last === s.log.lastIndex, 'what is in the log is durable or being written', { last });
  if (s.role === 'leader') assert(d.termIo <= d.persistedIo, 'a leader was elected by a durable vote of its own');
}

function checkLeading(s: RaftState, leading: Leading, bytes: number): void {
  const peers = peersOf(membersOf(s), s.id);
  const followed = peers.length + leading.departing.size;
  assert(followed === leading.progress.size, 'a leader follows each member', { peers: peers.length });
  for (const [id, p] of leading.progress) {
    assert(peers.includes(id) !== leading.departing.has(id), 'a leader follows members, and who has just left', { id });
    checkProgress(s, leading, id, p);
  }
  assert(bytes === leading.uncommittedBytes, 'a leader knows the bytes that it has not committed', { bytes });
  const established = s.commitIndex >= leading.termStart;
  assert(established === leading.established, 'a leader is established by an entry of its own term');
  assert(leading.established || leading.roundReads.length === 0, 'only an established leader confirms reads');
}

function checkProgress(s: RaftState, leading: Leading, id: NodeId, p: Progress): void {
  assert(p.matchIndex < p.nextIndex && p.nextIndex <= s.log.lastIndex + 1, 'matchIndex < nextIndex ≤ end', { id });
  assert(p.ackedRound <= leading.round, 'only rounds that began are answered', { id });
  let bytes = 0;
  for (const message of p.window.messages) {
    const isUnderWay = message.lastIndex > p.matchIndex && message.lastIndex < p.nextIndex;
    assert(isUnderWay, 'the window holds what is under way', { id });
    bytes += message.bytes;
  }
  assert(bytes === p.window.bytes, 'the window knows its bytes', { id, bytes });
  assert(p.state === 'replicate' || bytes === 0, 'only replication fills the window', { id });
}

/** Of the entries that are not committed: those of the last check, if it was of the same leadership, without and with what came since. */
function uncommittedBytes(s: RaftState, before: Watermarks | undefined): number {
  const { log, commitIndex } = s;
  const isKnown = before !== undefined && before.leading === s.leading && log.base.index <= before.commitIndex;
  if (!isKnown) return bytesBetween(s, commitIndex, log.lastIndex);
  const added = bytesBetween(s, before.lastIndex, log.lastIndex);
  return before.uncommittedBytes + added - bytesBetween(s, before.commitIndex, commitIndex);
}

function bytesBetween({ log }: RaftState, after: number, last: number): number {
  let bytes = 0;
  for (let index = after + 1; index <= last; index++) bytes += entryBytes(log.at(index)!);
  return bytes;
}

function watermarksOf(s: RaftState, bytes: number): Watermarks {
  const vote = { currentTerm: s.currentTerm, votedFor: s.votedFor };
  const indexes = { commitIndex: 0, commitChecksum: undefined, appliedIndex: 0, baseIndex: 0, lastIndex: 0 };
  const now: Watermarks = {
    checks: 0,
    ...vote,
    ...indexes,
    lastIo: 0,
    persistedIo: 0,
    leading: s.leading,
    uncommittedBytes: 0,
  };
  note(s, bytes, now);
  return now;
}

function note(s: RaftState, bytes: number, now: Watermarks): void {
  now.checks += 1;
  now.currentTerm = s.currentTerm;
  now.votedFor = s.votedFor;
  now.commitIndex = s.commitIndex;
  now.commitChecksum = s.log.checksumAt(s.commitIndex);
  now.appliedIndex = s.appliedIndex;
  now.baseIndex = s.log.base.index;
  now.lastIndex = s.log.lastIndex;
  now.lastIo = s.durability.lastIo;
  now.persistedIo = s.durability.persistedIo;
  now.leading = s.leading;
  now.uncommittedBytes = bytes;
}

function checkGrowth(s: RaftState, before: Watermarks): void {
  neverFalls('currentTerm', before.currentTerm, s.currentTerm);
  neverFalls('commitIndex', before.commitIndex, s.commitIndex);
  neverFalls('appliedIndex', before.appliedIndex, s.appliedIndex);
  neverFalls('baseIndex', before.baseIndex, s.log.base.index);
  neverFalls('lastIo', before.lastIo, s.durability.lastIo);
  neverFalls('persistedIo', before.persistedIo, s.durability.persistedIo);
  const held = s.log.checksumAt(before.commitIndex);
  const same = held === undefined || held === before.commitChecksum;
  assert(same, 'a committed entry never changes', { index: before.commitIndex });
  if (s.currentTerm !== before.currentTerm) return;
  const kept = before.votedFor === undefined || s.votedFor === before.votedFor;
  assert(kept, 'a vote is given once in a term', { before: before.votedFor, now: s.votedFor });
  if (before.leading !== undefined && s.leading !== undefined)
    assert(s.log.lastIndex >= before.lastIndex, 'a leader only appends to its log (Leader Append-Only)');
}
