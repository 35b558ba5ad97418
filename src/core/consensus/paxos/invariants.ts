/** What holds in a Multi-Paxos node between steps, and what may only grow from one step to the next. */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import { entryBytes, valueBytes } from '../entry-format.ts';
import { neverFalls } from '../never-falls.ts';
import { peersOf } from '../quorums.ts';
import { type Ballot, compareBallots, nameOf, noBallot, sameBallot } from './ballot.ts';
import { windowOf } from './configuration.ts';
import type { Progress } from './progress.ts';
import type { Following, Leading, PaxosState } from './state.ts';

/** Each check looks at what has changed since the one before; after so many of them one looks at everything. */
const wholeEvery = 1024;

/** What was seen by the last check. Kept up to date in place: there is a check after every step. */
export interface Watermarks {
  checks: number;
  promised: Ballot;
  chosenIndex: number;
  /** Of the entry at chosenIndex, while it was held: it must not change. */
  chosenChecksum: number;
  appliedIndex: number;
  baseIndex: number;
  lastIo: number;
  persistedIo: number;
  following: Following | undefined;
  heldTo: number;
  leading: Leading | undefined;
  nextSlot: number;
  /** Of what a leader has proposed after chosenIndex. */
  unchosenBytes: number;
}

export function checkInvariants(s: PaxosState, before: Watermarks | undefined): Watermarks {
  const known = before === undefined || before.checks % wholeEvery === 0 ? undefined : before;
  const changedFrom = checkLog(s, known);
  checkRole(s);
  checkDurability(s);
  if (s.following !== undefined) checkFollowing(s, s.following, known, changedFrom);
  if (s.leading !== undefined) checkLeading(s, s.leading, known, changedFrom);
  if (before !== undefined) checkGrowth(s, before);
  const now = before ?? newWatermarks(s);
  note(s, now);
  return now;
}

/** @returns the first open slot whose vote may be another than the last check saw */
function checkLog(s: PaxosState, known: Watermarks | undefined): number {
  const { log } = s;
  const changedFrom = log.invariants(s.config.crc32, known === undefined);
  assert(log.base.index <= s.appliedIndex, 'only what is applied is compacted', { base: log.base.index });
  assert(s.appliedIndex <= log.chosenIndex, 'only what is chosen is applied', { appliedIndex: s.appliedIndex });
  assert(s.recordedIndex <= Math.max(log.chosenIndex, s.recoveredIndex), 'only what is chosen is recorded so');
  const isKnown = known !== undefined && known.leading === s.leading;
  for (let slot = isKnown ? changedFrom : log.firstUnchosen; slot <= log.lastIndex; slot++) checkOpen(s, slot);
  return changedFrom;
}

function checkOpen(s: PaxosState, slot: number): void {
  const vote = s.log.at(slot);
  if (vote === undefined) return;
  assert(compareBallots(vote.ballot, s.promised) <= 0, 'an Accept raises the promise', { slot });
  const counted = s.leading !== undefined && sameBallot(vote.ballot, s.leading.ballot);
  const recovered = slot <= s.recoveredIndex;
  assert(counted || recovered || !vote.chosen, 'only a leader knows of a choice ahead of delivery', { slot });
  assert(vote.ballot !== noBallot || recovered, 'what was learned is delivered', { slot });
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
  let io: number = d.persistedIo;
  for (const write of d.pending) {
    assert(write.io > io, 'writes end in their order', { io: write.io });
    io = write.io;
  }
  if (s.role === 'leader') assert(d.termIo <= d.persistedIo, 'a leader has a durable promise of its own');
}

function checkFollowing(s: PaxosState, f: Following, known: Watermarks | undefined, changedFrom: number): void {
  assert(sameBallot(f.ballot, s.promised), 'who is followed leads in the ballot that is promised');
  assert(f.chosen <= f.heldTo, 'what is chosen counts as held', { chosen: f.chosen, heldTo: f.heldTo });
  assert(heldBy(s) === f.heldTo, 'what is held is durable or being written', { heldTo: f.heldTo });
  const first = Math.max(f.chosen, s.log.chosenIndex) + 1;
  const from = known?.following === f ? Math.max(first, Math.min(changedFrom, known.heldTo + 1)) : first;
  for (let slot = from; slot <= f.heldTo; slot++)
    assert(sameBallot(s.log.at(slot)!.ballot, f.ballot), 'what is held is of the ballot', { slot });
}

function heldBy({ durability: d }: PaxosState): number {
  let held: number = d.durableIndex;
  for (const { lastIndex } of d.pending) if (lastIndex > held) held = lastIndex;
  return held;
}

function checkLeading(s: PaxosState, leading: Leading, known: Watermarks | undefined, changedFrom: number): void {
  const { log } = s;
  const peers = peersOf(log.members, s.id);
  for (const id of peers) assert(leading.progress.has(id), 'a leader follows each member', { id });
  for (const id of leading.progress.keys())
    assert(peers.includes(id) !== leading.departing.has(id), 'a leader follows members, and who has just left', { id });
  let waiting = 0;
  for (const payload of leading.waiting) waiting += valueBytes(payload);
  assert(waiting === leading.waitingBytes, 'a leader knows the bytes that wait', { waiting });
  assert(leading.established || leading.roundReads.length === 0, 'only an established leader confirms reads');
  checkProposals(s, leading, known?.leading === leading ? known : undefined, changedFrom);
  for (const [id, p] of leading.progress) checkProgress(leading, id, p);
  assert(
    log.chosenIndex >= leading.firstOwn - 1 === leading.established,
    'a leader is established when what others proposed is decided',
  );
}

function checkProposals(s: PaxosState, leading: Leading, known: Watermarks | undefined, changedFrom: number): void {
  const { log } = s;
  assert(leading.nextSlot <= log.chosenIndex + windowOf(s.config) + 1, 'a leader keeps within its window');
  assert(heldBy(s) === leading.nextSlot - 1, 'what is proposed is durable or being written');
  const isKnown = known !== undefined && changedFrom >= known.nextSlot && log.base.index <= known.chosenIndex;
  const first = isKnown ? known.nextSlot : log.firstUnchosen;
  for (let slot = Math.max(first, log.firstUnchosen); slot < leading.nextSlot; slot++) {
    const vote = log.at(slot);
    const isOwn = vote !== undefined && sameBallot(vote.ballot, leading.ballot);
    assert(isOwn, 'a leader votes for what it proposes', { slot });
  }
  let bytes = bytesBetween(s, first, leading.nextSlot - 1);
  if (isKnown) bytes += known.unchosenBytes - bytesBetween(s, known.chosenIndex + 1, log.chosenIndex);
  assert(bytes === leading.unchosenBytes, 'a leader knows the bytes that are not chosen', { bytes });
}

function bytesBetween({ log }: PaxosState, first: number, last: number): number {
  let bytes = 0;
  for (let slot = first; slot <= last; slot++) bytes += entryBytes(log.at(slot)!.entry);
  return bytes;
}

function checkProgress(leading: Leading, id: NodeId, p: Progress): void {
  assert(p.nextSlot >= leading.start && p.nextSlot <= leading.nextSlot, 'a peer is sent what is proposed', { id });
  assert(p.matchIndex < leading.nextSlot, 'only what was proposed is held', { id });
  assert(p.ackedRound <= leading.round, 'only rounds that began are answered', { id });
  let bytes = 0;
  for (const message of p.window.messages) bytes += message.bytes;
  assert(bytes === p.window.bytes, 'the window knows its bytes', { id, bytes });
}

function newWatermarks({ promised, following, leading }: PaxosState): Watermarks {
  const indexes = { chosenIndex: 0, chosenChecksum: 0, appliedIndex: 0, baseIndex: 0, lastIo: 0, persistedIo: 0 };
  return { checks: 0, promised, ...indexes, following, heldTo: 0, leading, nextSlot: 0, unchosenBytes: 0 };
}

function note(s: PaxosState, now: Watermarks): void {
  now.checks += 1;
  now.promised = s.promised;
  now.chosenIndex = s.log.chosenIndex;
  now.chosenChecksum = s.log.chosenChecksum;
  now.appliedIndex = s.appliedIndex;
  now.baseIndex = s.log.base.index;
  now.lastIo = s.durability.lastIo;
  now.persistedIo = s.durability.persistedIo;
  now.following = s.following;
  now.heldTo = s.following?.heldTo ?? 0;
  now.leading = s.leading;
  now.nextSlot = s.leading?.nextSlot ?? 0;
  now.unchosenBytes = s.leading?.unchosenBytes ?? 0;
}

function checkGrowth(s: PaxosState, before: Watermarks): void {
  neverFalls('chosenIndex', before.chosenIndex, s.log.chosenIndex);
  neverFalls('appliedIndex', before.appliedIndex, s.appliedIndex);
  neverFalls('baseIndex', before.baseIndex, s.log.base.index);
  neverFalls('lastIo', before.lastIo, s.durability.lastIo);
  neverFalls('persistedIo', before.persistedIo, s.durability.persistedIo);
  assert(compareBallots(s.promised, before.promised) >= 0, 'a promise only rises', { to: s.promised.round });
  const held = s.log.checksumAt(before.chosenIndex);
  const same = held === undefined || held === before.chosenChecksum;
  assert(same, 'a chosen value never changes', { index: before.chosenIndex });
}
