/**
 * The acceptor ("Paxos Made Simple", §2.2): promises to take part in no lower ballot, and votes in those that it has promised nothing
 * above. Its promise holds for all slots; an Accept raises it as well.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import { restartAt } from '../durability.ts';
import type { Entry, LogIndex } from '../engine.ts';
import { chainChecksum } from '../entry-format.ts';
import { compareBallots, nameOf, sameBallot } from './ballot.ts';
import { considerLearning } from './catch-up.ts';
import { windowOf } from './configuration.ts';
import { agreesWithLeader, deliverFollowed, extendHeld, lacked, report } from './learner.ts';
import { noteOthersValues } from './leases.ts';
import { type Accept, type Prepare, type ReportedVote, reportedBytes } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { reported } from './phase-one.ts';
import { becomeFollower, noteRival, raisePromise } from './role.ts';
import type { Following, PaxosState } from './state.ts';
import { Vote } from './vote.ts';

/** How far beyond what is delivered here an acceptor votes: it bounds what a node holds that is catching up. */
const aheadMaxSlots = 65_536;

// ---------------------------------------------------------------- phase 1

export function onPrepare(s: PaxosState, out: Outbox, from: NodeId, m: Prepare): void {
  if (from !== m.ballot.node) return;
  const isPromised = sameBallot(m.ballot, s.promised);
  if (!isPromised) {
    if (!mayPromise(s, m)) {
      if (m.ballot.round === s.campaign?.phase.ballot.round) noteRival(s, from);
      reject(s, out, m);
      return;
    }
    raisePromise(s, out, m.ballot, 'a higher ballot is promised');
    out.trace('promise_given', { ballot: nameOf(m.ballot) });
  }
  if (s.leader === undefined) {
    // it takes as long as there are votes to tell
    if (isPromised) s.elector.candidateHeard(s.view, from);
    else s.elector.restart(s.view);
  }
  sendPromise(s, out, m);
}

/** A leader that is heard is not deposed, except by its own wish; and each round is promised to one node only. */
function mayPromise(s: PaxosState, m: Prepare): boolean {
  if (m.ballot.round <= s.promised.round) return false;
  return m.transfer || s.leader === m.ballot.node || !s.elector.protectsLeader(s.view);
}

/** One page of our votes; leaves when the promise is durable, and everything that it tells. */
function sendPromise(s: PaxosState, out: Outbox, { ballot, first }: Prepare): void {
  const { log, config, durability } = s;
  const votes: ReportedVote[] = [];
  let bytes = 0;
  let next = 0;
  for (let slot = Math.max(first, log.firstUnchosen); slot <= log.lastIndex; slot++) {
    const vote = log.at(slot);
    if (vote === undefined) continue;
    bytes += reportedBytes(vote.entry);
    if (votes.length > 0 && bytes > config.limits.messageMaxBytes) {
      next = slot;
      break;
    }
    votes.push(reported(vote, config.crc32));
  }
  const { chosenIndex, firstIndex: firstRetained } = log;
  const promise = { kind: 'promise', ballot, first, chosenIndex, firstRetained, next, votes } as const;
  out.sendAfter(durability.lastIo, ballot.node, promise);
}

/** Tells which ballot is in the way, so that the proposer goes above it or gives way. */
function reject(s: PaxosState, out: Outbox, { ballot }: Prepare | Accept): void {
  out.sendAfter(s.durability.termIo, ballot.node, { kind: 'rejected', ballot, promised: s.promised });
}

// ---------------------------------------------------------------- phase 2

export function onAccept(s: PaxosState, out: Outbox, from: NodeId, m: Accept): void {
  if (from !== m.ballot.node) return;
  if (compareBallots(m.ballot, s.promised) < 0) {
    reject(s, out, m);
    return;
  }
  if (!isWhole(s, m) || !agreesWithLeader(s, m)) {
    out.trace('values_refused_as_damaged', { from, first: m.first, entries: m.entries.length });
    return;
  }
  const f = follow(s, out, m);
  const voted = voteForAll(s, out, m, f);
  extendHeld(s, f);
  deliverFollowed(s, f, out);
  if (voted) answer(s, out, m, f);
  tellMissing(s, out, m, f);
  considerLearning(s, out);
}

/** The values continue each other's hash chain, and the proposer keeps within its window. */
function isWhole(s: PaxosState, m: Accept): boolean {
  let checksum = m.previous;
  for (const entry of m.entries) {
    checksum = chainChecksum(s.config.crc32, checksum, entry.term, entry.index, entry.payload);
    if (checksum !== entry.checksum) return false;
  }
  return m.first + m.entries.length - 1 <= m.chosenIndex + windowOf(s.config);
}

/** An Accept raises the promise; whoever may propose in the ballot that is promised leads. */
function follow(s: PaxosState, out: Outbox, m: Accept): Following {
  if (!sameBallot(m.ballot, s.promised)) raisePromise(s, out, m.ballot, 'another leads in a higher ballot');
  if (s.role !== 'follower' || s.leader !== m.ballot.node)
    becomeFollower(s, out, m.ballot.node, 'another leads in this ballot');
  s.elector.leaderHeard(s.view);
  const f = s.following ?? beginFollowing(s, m);
  if (m.chosenIndex > f.chosen) f.chosen = m.chosenIndex;
  if (m.first > f.streamAt) f.streamAt = m.first;
  if (m.entries.length > 0) noteOthersValues(s);
  return f;
}

/** Votes of this ballot that are here already were here when we started: they are durable. */
function beginFollowing(s: PaxosState, m: Accept): Following {
  const f: Following = {
    ballot: m.ballot,
    chosen: m.chosenIndex,
    chosenAtAnswer: m.chosenIndex,
    streamAt: 0 as LogIndex,
    heldTo: m.chosenIndex,
    toldMissing: 0 as LogIndex,
    toldAt: 0 as Millis,
  };
  s.following = f;
  restartAt(s.durability, m.chosenIndex);
  return f;
}

/** Whether all the values are now voted for (or chosen) here; otherwise they are not acknowledged. */
function voteForAll(s: PaxosState, out: Outbox, m: Accept, f: Following): boolean {
  const last = m.first + m.entries.length - 1;
  if (last > s.log.chosenIndex + aheadMaxSlots) return m.entries.length === 0;
  let previous = m.previous;
  for (const entry of m.entries) {
    if (!voteFor(s, out, f, entry, previous)) return false;
    previous = entry.checksum;
  }
  return true;
}

function voteFor(s: PaxosState, out: Outbox, f: Following, entry: Entry, previous: number): boolean {
  const { index } = entry;
  const held = s.log.at(index);
  if (index <= s.log.chosenIndex) return held === undefined || confirm(out, f, held, entry);
  if (held !== undefined && sameBallot(held.ballot, f.ballot)) return true;
  const vote = new Vote(f.ballot, entry, previous);
  s.log.put(vote);
  out.recordAccepted(vote);
  return true;
}

/** The value of a slot that is delivered: it cannot be another one, unless the proposer has been overtaken and does not know it. */
function confirm(out: Outbox, f: Following, held: Vote, entry: Entry): boolean {
  if (held.entry.checksum !== entry.checksum) {
    out.trace('value_contradicts_chosen', { ballot: nameOf(f.ballot), slot: entry.index });
    return false;
  }
  held.ballot = f.ballot;
  return true;
}

/**
 * An answer to values leaves once they are durable. One to a heartbeat leaves at once, so that a slow disk does not look like a dead
 * node, and acknowledges only what is durable already.
 */
function answer(s: PaxosState, out: Outbox, m: Accept, f: Following): void {
  const { ballot, first, round } = m;
  if (m.entries.length === 0) {
    report(s, out, f, first, round);
    if (s.stateArriving) out.sendAfter(s.durability.termIo, ballot.node, { kind: 'fed', ballot });
    return;
  }
  const last = first + m.entries.length - 1;
  const accepted = { kind: 'accepted', ballot, first, last, match: f.heldTo, lacks: lacked(s, f), round } as const;
  out.sendAfter(s.durability.lastIo, ballot.node, accepted);
}

/** What was sent before this message and is still open, and is not here. The same gap is told again with the next heartbeat. */
function tellMissing(s: PaxosState, out: Outbox, m: Accept, f: Following): void {
  const first = (f.heldTo + 1) as LogIndex;
  if (first >= m.first) return;
  if (first === f.toldMissing && s.now - f.toldAt < s.config.timing.heartbeatIntervalMs) return;
  f.toldMissing = first;
  f.toldAt = s.now;
  let last = first;
  while (last + 1 < m.first && !isVotedFor(s, f, last + 1)) last = (last + 1) as LogIndex;
  out.sendAfter(s.durability.termIo, f.ballot.node, { kind: 'missing', ballot: f.ballot, first, last });
}

function isVotedFor(s: PaxosState, f: Following, slot: number): boolean {
  const vote = s.log.at(slot);
  return vote !== undefined && sameBallot(vote.ballot, f.ballot);
}
