/** What holds in a Multi-Paxos node between steps, and what may only grow from one step to the next. */
import { assert } from '../../base/assert.ts';
import { entryBytes, valueBytes } from '../entry-format.ts';
import { peersOf } from '../quorums.ts';
import { type Ballot, compareBallots, nameOf, noBallot, sameBallot } from './ballot.ts';
import { windowSlots } from './configuration.ts';
import type { Following, Leading, PaxosState } from './state.ts';

/** Slots at the end of what is delivered whose hash chain is checked each time. */
const newestChecked = 4;

/** What was seen by the last check. */
export interface Watermarks {
  readonly promised: Ballot;
  readonly chosenIndex: number;
  /** Of the entry at chosenIndex, while it was held: it must not change. */
  readonly chosenChecksum: number;
  readonly appliedIndex: number;
  readonly baseIndex: number;
  readonly lastIo: number;
  readonly persistedIo: number;
}

export function checkInvariants(s: PaxosState, before: Watermarks | undefined): Watermarks {
  checkLog(s, before);
  checkRole(s);
  checkDurability(s);
  if (s.following !== undefined) checkFollowing(s, s.following);
  if (s.leading !== undefined) checkLeading(s, s.leading);
  const now = watermarksOf(s);
  if (before !== undefined) checkGrowth(s, before, now);
  return now;
}

function checkLog(s: PaxosState, before: Watermarks | undefined): void {
  const { log, promised } = s;
  log.invariants(s.config.crc32, before === undefined ? 0 : log.chosenIndex - newestChecked);
  assert(log.base.index <= s.appliedIndex, 'only what is applied is compacted', { base: log.base.index });
  assert(s.appliedIndex <= log.chosenIndex, 'only what is chosen is applied', { appliedIndex: s.appliedIndex });
  assert(s.recordedIndex <= Math.max(log.chosenIndex, s.recoveredIndex), 'only what is chosen is recorded so');
  for (let slot = log.firstUnchosen; slot <= log.lastIndex; slot++) {
    const vote = log.at(slot);
    if (vote === undefined) continue;
    assert(compareBallots(vote.ballot, promised) <= 0, 'an Accept raises the promise', { slot });
    const counted = s.leading !== undefined && sameBallot(vote.ballot, s.leading.ballot);
    const recovered = slot <= s.recoveredIndex;
    assert(counted || recovered || !vote.chosen, 'only a leader knows of a choice ahead of delivery', { slot });
    assert(vote.ballot !== noBallot || recovered, 'what was learned is delivered', { slot });
  }
}

function checkRole(s: PaxosState): void {
  const { role, campaign, leading } = s;
  assert((role === 'leader') === (leading !== undefined), "a leader's state exists while it leads", { role });
  assert((role === 'leader') === (s.leader === s.id), 'who leads knows that it does', { role });
  assert((role === 'candidate') === (campaign !== undefined), 'phase 1 is under way exactly for a candidate', { role });
  const ballot = leading?.ballot ?? campaign?.phase.ballot;
  if (ballot !== undefined) {
    assert(sameBallot(ballot, s.promised), 'who proposes has promised its own ballot', { ballot: nameOf(ballot) });
    assert(ballot.node === s.id, 'a ballot is used by its node only', { ballot: nameOf(ballot) });
  }
  if (role !== 'leader' && role !== 'follower')
    assert(s.leader === undefined, 'who seeks to lead knows no leader', { leader: s.leader });
}

function checkDurability(s: PaxosState): void {
  const d = s.durability;
  assert(d.persistedIo <= d.lastIo && d.termIo <= d.lastIo, 'writes are counted in one order', { lastIo: d.lastIo });
  d.pending.forEach((write, i) => {
    const earlier = d.pending[i - 1];
    assert(write.io > d.persistedIo && (earlier === undefined || earlier.io < write.io), 'writes end in their order');
  });
  if (s.role === 'leader') assert(d.termIo <= d.persistedIo, 'a leader has a durable promise of its own');
}

function checkFollowing(s: PaxosState, f: Following): void {
  assert(sameBallot(f.ballot, s.promised), 'who is followed leads in the ballot that is promised');
  assert(f.chosen <= f.heldTo, 'what is chosen counts as held', { chosen: f.chosen, heldTo: f.heldTo });
  assert(heldBy(s) === f.heldTo, 'what is held is durable or being written', { heldTo: f.heldTo });
  for (let slot = Math.max(f.chosen, s.log.chosenIndex) + 1; slot <= f.heldTo; slot++)
    assert(sameBallot(s.log.at(slot)!.ballot, f.ballot), 'what is held is of the ballot', { slot });
}

function heldBy({ durability: d }: PaxosState): number {
  return Math.max(d.durableIndex, ...d.pending.map((write) => write.lastIndex));
}

function checkLeading(s: PaxosState, leading: Leading): void {
  const { log } = s;
  const peers = peersOf(log.members, s.id);
  for (const id of peers) assert(leading.progress.has(id), 'a leader follows each member', { id });
  for (const id of leading.progress.keys())
    assert(peers.includes(id) !== leading.departing.has(id), 'a leader follows members, and who has just left', { id });
  const waiting = leading.waiting.reduce((sum, payload) => sum + valueBytes(payload), 0);
  assert(waiting === leading.waitingBytes, 'a leader knows the bytes that wait', { waiting });
  assert(leading.established || leading.roundReads.length === 0, 'only an established leader confirms reads');
  checkProposals(s, leading);
  assert(
    log.chosenIndex >= leading.firstOwn - 1 === leading.established,
    'a leader is established when what others proposed is decided',
  );
}

function checkProposals(s: PaxosState, leading: Leading): void {
  const { log } = s;
  assert(leading.nextSlot <= log.chosenIndex + windowSlots + 1, 'a leader keeps within its window');
  assert(heldBy(s) === leading.nextSlot - 1, 'what is proposed is durable or being written');
  let bytes = 0;
  for (let slot = log.firstUnchosen; slot < leading.nextSlot; slot++) {
    const vote = log.at(slot);
    assert(vote !== undefined && sameBallot(vote.ballot, leading.ballot), 'a leader votes for what it proposes', {
      slot,
    });
    bytes += entryBytes(vote.entry);
  }
  assert(bytes === leading.unchosenBytes, 'a leader knows the bytes that are not chosen', { bytes });
  for (const [id, p] of leading.progress) {
    assert(p.nextSlot >= leading.start && p.nextSlot <= leading.nextSlot, 'a peer is sent what is proposed', { id });
    assert(p.matchIndex < leading.nextSlot, 'only what was proposed is held', { id });
    assert(p.ackedRound <= leading.round, 'only rounds that began are answered', { id });
    const under = p.window.messages.reduce((sum, message) => sum + message.bytes, 0);
    assert(under === p.window.bytes, 'the window knows its bytes', { id, under });
  }
}

function watermarksOf(s: PaxosState): Watermarks {
  return {
    promised: s.promised,
    chosenIndex: s.log.chosenIndex,
    chosenChecksum: s.log.chosenChecksum,
    appliedIndex: s.appliedIndex,
    baseIndex: s.log.base.index,
    lastIo: s.durability.lastIo,
    persistedIo: s.durability.persistedIo,
  };
}

const growing = ['chosenIndex', 'appliedIndex', 'baseIndex', 'lastIo', 'persistedIo'] as const;

function checkGrowth(s: PaxosState, before: Watermarks, now: Watermarks): void {
  for (const name of growing)
    assert(now[name] >= before[name], `${name} never falls`, { before: before[name], now: now[name] });
  assert(compareBallots(now.promised, before.promised) >= 0, 'a promise only rises', { now: nameOf(now.promised) });
  const held = s.log.checksumAt(before.chosenIndex);
  const same = held === undefined || held === before.chosenChecksum;
  assert(same, 'a chosen value never changes', { index: before.chosenIndex });
}
