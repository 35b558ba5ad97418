/**
 * The proposer's phase 1 ("Paxos Made Simple", §2.2, §3): for all slots from the first unchosen one on at once. When to seek to lead is
 * the elector's; that no two proposers ever disagree about a slot follows from the promises alone.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import { mayLead } from '../elector/elector.ts';
import type { LogIndex } from '../engine.ts';
import { isVoter, peersOf } from '../quorums.ts';
import { compareBallots, nameOf, sameBallot, toRound } from './ballot.ts';
import { considerLearning } from './catch-up.ts';
import { quorumsAt } from './configuration.ts';
import type { PromiseMessage, Rejected, TakeOver } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { newPhaseOne, type PhaseOne, takeOwnPromise, takePage } from './phase-one.ts';
import { beginPhaseTwo } from './phase-two.ts';
import { prepare } from './prepare.ts';
import { newProgress } from './progress.ts';
import { proposeWaiting } from './proposals.ts';
import { becomeFollower, noteRound, raisePromise } from './role.ts';
import { heartbeatAll } from './sending.ts';
import { type Campaign, type Leading, never, type PaxosState } from './state.ts';

/** Our own promise counts, and the others are asked, only once it is durable: a ballot is never used twice. */
export function campaign(s: PaxosState, out: Outbox, transfer: boolean): void {
  const round = toRound(Math.max(s.promised.round, s.roundSeen) + 1);
  const ballot = { round, node: s.id };
  raisePromise(s, out, ballot, 'it seeks a higher ballot');
  s.role = 'candidate';
  s.campaign = { phase: newPhaseOne(ballot), transfer, refusals: new Map(), askAgainAt: never };
  s.elector.restart(s.view);
  out.trace('phase_one_begun', { ballot: nameOf(ballot), first: s.log.firstUnchosen });
  for (const id of votersBut(s)) s.campaign.phase.asked.set(id, s.log.firstUnchosen);
  askForPromises(s, s.campaign, out);
}

/** Asks those who have not told all their votes, again if need be. */
export function askForPromises(s: PaxosState, c: Campaign, out: Outbox): void {
  for (const id of c.phase.asked.keys()) prepare(s, out, id, c.phase, c.transfer);
  c.askAgainAt = (s.now + s.config.timing.heartbeatIntervalMs) as Millis;
}

function votersBut(s: PaxosState): readonly NodeId[] {
  const { members } = s.log;
  return peersOf(members, s.id).filter((id) => isVoter(members, id));
}

/** To be called when a write has become durable. */
export function countOwnPromise(s: PaxosState, out: Outbox): void {
  const { campaign: c, durability } = s;
  if (c === undefined || durability.termIo > durability.persistedIo || c.phase.promises.includes(s.id)) return;
  takeOwnPromise(c.phase, s.id, s.log);
  countPromises(s, c, out);
}

export function onPromise(s: PaxosState, out: Outbox, from: NodeId, m: PromiseMessage): void {
  const phase = s.campaign?.phase ?? s.leading?.phase;
  if (phase === undefined || !sameBallot(m.ballot, phase.ballot)) return;
  switch (takePage(phase, from, m, s.config.crc32, openFrom(s))) {
    case 'ignored':
      return;
    case 'damaged':
      out.trace('promise_refused_as_damaged', { from, first: m.first });
      return;
    case 'more':
      prepare(s, out, from, phase, s.campaign?.transfer ?? false);
      return;
    case 'complete':
      if (s.campaign !== undefined) countPromises(s, s.campaign, out);
      else if (s.leading !== undefined) proposeWaiting(s, s.leading, out);
  }
}

/** Once phase 2 has begun, only slots that voters to come decide still wait for promises. */
function openFrom({ leading, configuration }: PaxosState): number {
  if (leading?.start === undefined) return 0;
  return configuration.next === undefined ? Number.POSITIVE_INFINITY : configuration.nextFrom;
}

function countPromises(s: PaxosState, c: Campaign, out: Outbox): void {
  const quorums = quorumsAt(s.configuration, s.log.firstUnchosen);
  if (quorums.isQuorum('prepare', c.phase.promises)) lead(s, c.phase, out);
}

/** For a higher ballot: we go above it, later. Otherwise for another of our round, or a leader: we give way if too many say so. */
export function onRejected(s: PaxosState, out: Outbox, from: NodeId, m: Rejected): void {
  const { campaign: c, leading } = s;
  const ballot = c?.phase.ballot ?? leading?.ballot;
  if (ballot === undefined || !sameBallot(m.ballot, ballot)) return;
  if (compareBallots(m.promised, ballot) > 0) {
    noteRound(s, m.promised.round);
    becomeFollower(s, out, undefined, 'an acceptor has promised a higher ballot');
  } else if (c !== undefined) {
    c.refusals.set(from, false);
    const quorums = quorumsAt(s.configuration, s.log.firstUnchosen);
    if (quorums.outcome('prepare', c.refusals) === 'lost') becomeFollower(s, out, undefined, 'its ballot is refused');
  }
}

/** Of the leader that we follow, and in its ballot. */
export function onTakeOver(s: PaxosState, out: Outbox, from: NodeId, { ballot }: TakeOver): void {
  if (s.leader === from && sameBallot(ballot, s.promised) && mayLead(s.view)) campaign(s, out, true);
}

/** A quorum has promised: nobody else is chosen anything in a lower ballot from now on. */
function lead(s: PaxosState, phase: PhaseOne, out: Outbox): void {
  const { firstUnchosen, chosenChecksum, members } = s.log;
  s.role = 'leader';
  s.leader = s.id;
  s.campaign = undefined;
  const peers = peersOf(members, s.id);
  const leading: Leading = {
    ballot: phase.ballot,
    phase,
    start: undefined,
    nextSlot: firstUnchosen,
    lastChecksum: chosenChecksum,
    firstOwn: firstUnchosen,
    established: false,
    followed: members,
    departing: new Map(),
    change: undefined,
    membersSettled: false,
    membersSlot: 0 as LogIndex,
    progress: new Map(peers.map((id) => [id, newProgress(firstUnchosen, s.now)] as const)),
    nextHeartbeatAt: (s.now + s.config.timing.heartbeatIntervalMs) as Millis,
    announceAt: never,
    unchosenBytes: 0,
    waiting: [],
    waitingBytes: 0,
    round: 0,
    roundIndex: s.log.chosenIndex,
    roundReads: [],
    waitingReads: [],
  };
  s.leading = leading;
  out.trace('leader_elected', { ballot: nameOf(phase.ballot), knownChosen: phase.knownChosen });
  beginPhaseTwo(s, leading, out);
  considerLearning(s, out);
  if (leading.nextSlot === leading.start || leading.start === undefined) heartbeatAll(s, leading, out);
}
