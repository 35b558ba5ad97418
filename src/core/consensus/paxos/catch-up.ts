/**
 * Learning what is chosen and did not come by itself ("Paxos Made Simple", §2.3: a learner asks): a peer, any peer, is asked for the
 * missing values, and one that has compacted them sends its state instead. Who is far behind spares the leader if it can.
 *
 * Who has no vote and hears no leader does not know what it lacks, and asks on suspicion: perhaps it is a voter by now, and whoever knows so
 * has no vote any more and does not lead. Of those who have chosen that they are voters each has a vote there, or knows it.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import { farBehindEntries, restAfter } from '../catch-up-pace.ts';
import type { Entry, LogIndex } from '../engine.ts';
import { chainChecksum, entryBytes } from '../entry-format.ts';
import { isVoter, peersOf } from '../quorums.ts';
import { noBallot, sameBallot } from './ballot.ts';
import { windowOf } from './configuration.ts';
import { deliver, deliverFollowed, extendHeld, lacked, reportLearned } from './learner.ts';
import { noteValuesOfAnybody } from './leases.ts';
import type { Chosen, Learn } from './messages.ts';
import type { Outbox } from './outbox.ts';
import type { Learning, PaxosState } from './state.ts';
import { Vote } from './vote.ts';

/** Asks for what is missing, unless somebody is being asked. */
export function considerLearning(s: PaxosState, out: Outbox): void {
  const last = lastMissing(s);
  if (last === undefined) s.learning = undefined;
  else if (s.learning === undefined) ask(s, out, 0, last);
}

/**
 * Up to where chosen values are missing, or may be, from the first unchosen slot on; undefined if none are. Nor are they while a peer's state
 * arrives, which has them: only a candidate does not wait for that.
 */
function lastMissing(s: PaxosState): LogIndex | undefined {
  if (s.stateArriving && s.campaign === undefined) return undefined;
  const last = lastKnownMissing(s);
  return last === undefined && isLeftAlone(s) ? ((s.log.firstUnchosen + windowOf(s.config) - 1) as LogIndex) : last;
}

/**
 * A member that has no vote as far as it knows, or somebody who has taken part in what it has not heard the end of, and no leader is heard.
 * A stranger, and who knows that it has left, asks nothing.
 */
export function isLeftAlone({ id, leader, log }: PaxosState): boolean {
  if (leader !== undefined || isVoter(log.members, id)) return false;
  return log.members.nonVoters.includes(id) || log.lastIndex > log.chosenIndex;
}

function lastKnownMissing(s: PaxosState): LogIndex | undefined {
  const { campaign, following: f, log } = s;
  const first = log.firstUnchosen;
  if (campaign !== undefined) return first <= campaign.phase.knownChosen ? campaign.phase.knownChosen : undefined;
  if (f === undefined || first > f.chosen || first >= f.streamAt) return undefined;
  let last: number = first;
  const end = Math.min(f.chosen, f.streamAt - 1, first + windowOf(s.config));
  if (isHeldIn(s, first)) return undefined;
  while (last < end && !isHeldIn(s, last + 1)) last += 1;
  return (last === first + windowOf(s.config) ? f.chosen : last) as LogIndex;
}

function isHeldIn(s: PaxosState, slot: number): boolean {
  const vote = s.log.at(slot);
  return vote !== undefined && sameBallot(vote.ballot, s.following!.ballot);
}

function ask(s: PaxosState, out: Outbox, attempt: number, last: LogIndex): void {
  const first = s.log.firstUnchosen;
  const peer = peerToAsk(s, attempt, last - first >= windowOf(s.config));
  if (peer === undefined) return;
  const { heartbeatIntervalMs, electionTimeoutMaxMs } = s.config.timing;
  // a peer that has nothing to tell does not answer
  const patienceMs = isLeftAlone(s) ? electionTimeoutMaxMs : heartbeatIntervalMs;
  const askAgainAt = (s.now + patienceMs) as Millis;
  s.learning = { peer, first, attempt, askedAt: s.now, isResting: false, askAgainAt };
  out.send(peer, { kind: 'learn', first, last });
}

/** First who must know, or if that would be the leader and it is much that we lack, first the others; then one after the other. */
function peerToAsk(s: PaxosState, attempt: number, spareLeader: boolean): NodeId | undefined {
  const knows = s.campaign?.phase.informant ?? s.leader;
  const peers = peersOf(s.log.members, s.id).filter((id) => id !== knows);
  if (knows !== undefined && knows !== s.id) {
    if (spareLeader && knows === s.leader) peers.push(knows);
    else peers.unshift(knows);
  }
  return peers[attempt % Math.max(1, peers.length)];
}

/** The peer that was asked has not answered; or has, and may be asked on. */
export function askAnother(s: PaxosState, out: Outbox): void {
  const { attempt: before = 0, isResting = false } = s.learning ?? {};
  const attempt = isResting ? before : before + 1;
  const last = lastMissing(s);
  s.learning = undefined;
  if (last !== undefined) ask(s, out, attempt, last);
}

// ---------------------------------------------------------------- the peer

export function onLearn(s: PaxosState, out: Outbox, from: NodeId, m: Learn): void {
  const { log } = s;
  const { firstIndex: firstRetained } = log;
  if (m.first > log.chosenIndex) return;
  if (m.first < firstRetained) {
    askForSnapshot(s, out, from, m.first);
    out.send(from, { kind: 'chosen', first: m.first, firstRetained, entries: [] });
    return;
  }
  const last = log.lastWithin(m.first, Math.min(m.last, log.chosenIndex), s.config.limits.messageMaxBytes);
  out.send(from, { kind: 'chosen', first: m.first, firstRetained, entries: log.slice(m.first, last) });
}

/** One stream at a time to each peer; the host says when it has ended. */
function askForSnapshot(s: PaxosState, out: Outbox, to: NodeId, first: LogIndex): void {
  if (s.streaming.has(to)) return;
  s.streaming.add(to);
  out.requestSnapshot(to);
  out.trace('snapshot_requested', { to, first, firstRetained: s.log.firstIndex });
}

// ---------------------------------------------------------------- the answer

export function onChosen(s: PaxosState, out: Outbox, from: NodeId, m: Chosen): void {
  if (m.entries.length === 0) awaitSnapshot(s, from, m);
  else if (m.first > s.log.firstUnchosen || s.leading !== undefined)
    return; // overtaken, or not what we asked for
  else if (!continuesChain(s, m)) out.trace('values_refused_as_damaged', { from, first: m.first });
  else {
    const isAnswer = s.learning?.peer === from && s.learning.first === m.first;
    const isNews = learn(s, out, m);
    // a copy, or an answer to what was asked long ago, asks for no more: else each would keep a round of questions going for ever
    if (isNews || isAnswer) afterLearning(s, out, s.learning?.peer === from ? s.learning.attempt : 0, m.entries);
  }
}

/** The peer streams its state to us: nobody else needs to. */
function awaitSnapshot(s: PaxosState, from: NodeId, m: Chosen): void {
  if (s.learning?.peer !== from || m.firstRetained <= s.log.firstUnchosen) return;
  s.learning.askAgainAt = (s.now + s.config.timing.electionTimeoutMaxMs) as Millis;
}

function continuesChain(s: PaxosState, m: Chosen): boolean {
  let checksum = s.log.checksumAt(m.first - 1);
  for (const entry of m.entries) {
    if (checksum !== undefined) {
      checksum = chainChecksum(s.config.crc32, checksum, entry.term, entry.index, entry.payload);
      if (checksum !== entry.checksum) return false;
    } else if (entry.index === s.log.base.index) checksum = s.log.base.checksum;
  }
  return checksum !== undefined;
}

/** Values that we have voted for in the same log are here already. @returns whether anything was delivered */
function learn(s: PaxosState, out: Outbox, m: Chosen): boolean {
  const entries = [];
  for (const entry of m.entries) {
    if (entry.index !== s.log.firstUnchosen) continue;
    if (s.log.at(entry.index)?.entry.checksum !== entry.checksum) {
      s.log.put(new Vote(noBallot, entry, s.log.chosenChecksum));
      out.recordLearned(entry);
    }
    entries.push(deliver(s, out));
  }
  if (entries.length > 0) noteValuesOfAnybody(s);
  out.commit(entries);
  if (s.campaign !== undefined) s.campaign.hasAdvanced = true;
  return entries.length > 0;
}

/** More can be delivered now, and more may be missing: who has answered is asked on. */
export function afterLearning(s: PaxosState, out: Outbox, attempt: number, learned: readonly Entry[] = []): void {
  const { following: f } = s;
  if (f !== undefined) {
    extendHeld(s, f);
    deliverFollowed(s, f, out);
  }
  const last = lastMissing(s);
  const restMs = last === undefined ? 0 : restMsAfter(s, s.learning, learned);
  if (restMs > 0) rest(s, s.learning!, attempt, restMs);
  else {
    s.learning = undefined;
    if (last !== undefined) ask(s, out, attempt, last);
    else if (f !== undefined && s.leader === f.ballot.node) reportLearned(s, out, f);
  }
}

/** Who is far behind what the leader calls chosen rests between the answers; see catch-up-pace.ts. A candidate is waited for. */
function restMsAfter(s: PaxosState, answered: Learning | undefined, learned: readonly Entry[]): number {
  const { following: f } = s;
  if (answered === undefined || f === undefined || s.campaign !== undefined) return 0;
  const committed = f.chosen - f.chosenAtAnswer;
  f.chosenAtAnswer = f.chosen;
  if (lacked(s, f) <= farBehindEntries) return 0;
  let bytes = 0;
  for (const entry of learned) bytes += entryBytes(entry);
  return restAfter({ tookMs: s.now - answered.askedAt, entries: learned.length, bytes, committed }, s.config.timing);
}

function rest(s: PaxosState, { peer, askedAt }: Learning, attempt: number, ms: number): void {
  const first = s.log.firstUnchosen;
  s.learning = { peer, first, attempt, askedAt, isResting: true, askAgainAt: (s.now + ms) as Millis };
}
