/** What holds in a Raft node between steps, and what may only grow from one step to the next. */
import { assert } from '../../base/assert.ts';
import { entryBytes } from '../entry-format.ts';
import { peersOf } from '../quorums.ts';
import { type Leading, membersOf, type RaftState } from './state.ts';

/** Entries at the end of the log whose hash chain is checked each time. */
const newestChecked = 4;

/** What was seen by the last check. */
export interface Watermarks {
  readonly currentTerm: number;
  readonly votedFor: number | undefined;
  readonly commitIndex: number;
  /** Of the entry at commitIndex, while it was held: it must not change. */
  readonly commitChecksum: number | undefined;
  readonly appliedIndex: number;
  readonly baseIndex: number;
  readonly lastIndex: number;
  readonly lastIo: number;
  readonly persistedIo: number;
  readonly leads: boolean;
}

export function checkInvariants(s: RaftState, before: Watermarks | undefined): Watermarks {
  checkLog(s, before);
  checkRole(s);
  checkDurability(s);
  if (s.leading !== undefined) checkLeading(s, s.leading);
  const now = watermarksOf(s);
  if (before !== undefined) checkGrowth(s, before, now);
  return now;
}

function checkLog(s: RaftState, before: Watermarks | undefined): void {
  const { log } = s;
  // each append has checked its entry against the one before, so after the first time the newest tell enough
  log.invariants(s.config.crc32, before === undefined ? 0 : log.lastIndex - newestChecked);
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
  const last = Math.max(d.durableIndex, ...d.pending.map((write) => write.lastIndex));
  assert(last === s.log.lastIndex, 'what is in the log is durable or being written', { last });
  d.pending.forEach((write, i) => {
    const earlier = d.pending[i - 1];
    assert(write.io > d.persistedIo && (earlier === undefined || earlier.io < write.io), 'writes end in their order');
  });
  if (s.role === 'leader') assert(d.termIo <= d.persistedIo, 'a leader was elected by a durable vote of its own');
}

function checkLeading(s: RaftState, leading: Leading): void {
  const peers = [...peersOf(membersOf(s), s.id), ...leading.departing.keys()];
  assert(peers.length === leading.progress.size, 'a leader follows each member', { peers: peers.length });
  for (const [id, p] of leading.progress) {
    assert(peers.includes(id), 'a leader follows members only', { id });
    assert(p.matchIndex < p.nextIndex && p.nextIndex <= s.log.lastIndex + 1, 'matchIndex < nextIndex ≤ end', { id });
    assert(p.ackedRound <= leading.round, 'only rounds that began are answered', { id });
    const bytes = p.window.messages.reduce((sum, message) => sum + message.bytes, 0);
    assert(bytes === p.window.bytes, 'the window knows its bytes', { id, bytes });
    assert(p.state === 'replicate' || bytes === 0, 'only replication fills the window', { id });
    p.window.messages.forEach(({ lastIndex }) => {
      assert(lastIndex > p.matchIndex && lastIndex < p.nextIndex, 'the window holds what is under way', { id });
    });
  }
  const uncommitted = s.log.lastIndex > s.commitIndex ? s.log.slice(s.commitIndex + 1, s.log.lastIndex) : [];
  const bytes = uncommitted.reduce((sum, entry) => sum + entryBytes(entry), 0);
  assert(bytes === leading.uncommittedBytes, 'a leader knows the bytes that it has not committed', { bytes });
  const established = s.commitIndex >= leading.termStart;
  assert(established === leading.established, 'a leader is established by an entry of its own term');
  assert(leading.established || leading.roundReads.length === 0, 'only an established leader confirms reads');
}

function watermarksOf(s: RaftState): Watermarks {
  return {
    currentTerm: s.currentTerm,
    votedFor: s.votedFor,
    commitIndex: s.commitIndex,
    commitChecksum: s.log.checksumAt(s.commitIndex),
    appliedIndex: s.appliedIndex,
    baseIndex: s.log.base.index,
    lastIndex: s.log.lastIndex,
    lastIo: s.durability.lastIo,
    persistedIo: s.durability.persistedIo,
    leads: s.leading !== undefined,
  };
}

const growing = ['currentTerm', 'commitIndex', 'appliedIndex', 'baseIndex', 'lastIo', 'persistedIo'] as const;

function checkGrowth(s: RaftState, before: Watermarks, now: Watermarks): void {
  for (const name of growing)
    assert(now[name] >= before[name], `${name} never falls`, { before: before[name], now: now[name] });
  const held = s.log.checksumAt(before.commitIndex);
  const same = held === undefined || held === before.commitChecksum;
  assert(same, 'a committed entry never changes', { index: before.commitIndex });
  if (now.currentTerm !== before.currentTerm) return;
  const kept = before.votedFor === undefined || now.votedFor === before.votedFor;
  assert(kept, 'a vote is given once in a term', { before: before.votedFor, now: now.votedFor });
  if (before.leads && now.leads)
    assert(now.lastIndex >= before.lastIndex, 'a leader only appends to its log (Leader Append-Only)');
}
