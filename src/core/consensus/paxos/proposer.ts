/**
 * The proposer's phase 1 ("Paxos Made Simple", §2.2, §3): for all slots from the first unchosen one on at once. When to seek to lead is
 * the elector's; that no two proposers ever disagree about a slot follows from the promises alone.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import { restartAt } from '../durability.ts';
import { mayLead } from '../elector/elector.ts';
import type { LogIndex, Members } from '../engine.ts';
import { isVoter, peersOf, type QuorumSystem, quorumSystemOf } from '../quorums.ts';
import { compareBallots, nameOf, sameBallot, toRound } from './ballot.ts';
import { considerLearning } from './catch-up.ts';
import { establish } from './learner.ts';
import { noteFoundVotes, noteLeasesEnded } from './leases.ts';
import type { PromiseMessage, Rejected, TakeOver } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { newPhaseOne, type PhaseOne, takeOwnPromise, takePage } from './phase-one.ts';
import { askForPatience, prepare } from './prepare.ts';
import { newProgress } from './progress.ts';
import { proposeWaiting } from './proposals.ts';
import { becomeFollower, noteRival, noteRound, raisePromise } from './role.ts';
import { heartbeatAll } from './sending.ts';
import { type Campaign, type Leading, never, type PaxosState } from './state.ts';

/** Our own promise counts, and the others are asked, only once it is durable: a ballot is never used twice. */
export function campaign(s: PaxosState, out: Outbox, asked?: TakeOver): void {
  const round = toRound(Math.max(s.promised.round, s.roundSeen) + 1);
  const ballot = { round, node: s.id };
  raisePromise(s, out, ballot, 'it seeks a higher ballot');
  s.role = 'candidate';
  s.campaign = {
    phase: newPhaseOne(ballot),
    transfer: asked !== undefined,
    leasesEnded: asked?.leasesEnded === true ? asked.ballot : undefined,
    refusals: new Map(),
    askAgainAt: never,
    hasAdvanced: false,
    giveUpAt: (s.now + s.config.timing.electionTimeoutMaxMs) as Millis,
  };
  if (asked?.leasesEnded === true) noteLeasesEnded(s);
  s.elector.restart(s.view);
  out.trace('phase_one_begun', { ballot: nameOf(ballot), first: s.log.firstUnchosen });
  continueCampaign(s, s.campaign, out);
  s.campaign.askAgainAt = (s.now + s.config.timing.heartbeatIntervalMs) as Millis;
}

/**
 * To be called after each step of a candidate. It leads once all quorums that may decide in an open slot have promised, and everything
 * is here that is known to be chosen: whoever proposes must know who decides, and what precedes. So nothing is ever proposed in slots
 * that others call chosen, whether they can still show the value or not.
 */
export function continueCampaign(s: PaxosState, c: Campaign, out: Outbox): void {
  const changes = changesUnderWay(s, c.phase);
  askVoters(s, c, out, [...votersBut(s), ...changes.flatMap(({ votersNext }) => votersNext ?? [])]);
  if (s.log.chosenIndex < c.phase.knownChosen) considerLearning(s, out);
  else if ([s.configuration.electorate, ...changes.map(quorumsToCome(s))].every(havePromised(c.phase))) lead(s, c, out);
}

/** Changes of voters that somebody has voted for, and that may be chosen for all we know. */
function changesUnderWay(s: PaxosState, phase: PhaseOne): readonly Members[] {
  const changes: Members[] = [];
  for (const [slot, { entry }] of phase.adopted) {
    if (entry.payload.kind !== 'members' || slot <= s.log.chosenIndex) continue;
    if (entry.payload.members.votersNext !== undefined) changes.push(entry.payload.members);
  }
  return changes;
}

function quorumsToCome(s: PaxosState) {
  return ({ votersNext = [], nonVoters }: Members): QuorumSystem =>
    quorumSystemOf({ voters: votersNext, nonVoters }, s.config.quorums);
}

function havePromised({ promises }: PhaseOne) {
  return (quorums: QuorumSystem): boolean => quorums.isQuorum('prepare', promises);
}

function askVoters(s: PaxosState, { phase, transfer }: Campaign, out: Outbox, voters: readonly NodeId[]): void {
  for (const id of voters) {
    if (id === s.id || phase.asked.has(id) || phase.promises.includes(id)) continue;
    phase.asked.set(id, s.log.firstUnchosen);
    prepare(s, out, id, phase, transfer);
  }
}

/** Asks those again who have not told all their votes; and the others for patience, as long as there is progress. */
export function askForPromises(s: PaxosState, c: Campaign, out: Outbox): void {
  const { phase, transfer } = c;
  if (c.hasAdvanced) c.giveUpAt = (s.now + s.config.timing.electionTimeoutMaxMs) as Millis;
  else if (s.now >= c.giveUpAt) {
    becomeFollower(s, out, undefined, 'nothing comes of its ballot');
    return;
  }
  for (const id of phase.asked.keys()) prepare(s, out, id, phase, transfer);
  for (const id of phase.promises) if (c.hasAdvanced && id !== s.id) askForPatience(s, out, id, phase, transfer);
  if (c.hasAdvanced) s.elector.restart(s.view);
  c.hasAdvanced = false;
  c.askAgainAt = (s.now + s.config.timing.heartbeatIntervalMs) as Millis;
}

function votersBut(s: PaxosState): readonly NodeId[] {
  const { members } = s.log;
  return peersOf(members, s.id).filter((id) => isVoter(members, id));
}

/** To be called when a write has become durable. */
export function countOwnPromise(s: PaxosState): void {
  const { campaign: c, durability } = s;
  if (c === undefined || durability.termIo > durability.persistedIo || c.phase.promises.includes(s.id)) return;
  takeOwnPromise(c.phase, s.id, s.log);
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
      if (s.campaign !== undefined) s.campaign.hasAdvanced = true;
      prepare(s, out, from, phase, s.campaign?.transfer ?? false);
      return;
    case 'complete':
      if (s.campaign !== undefined) s.campaign.hasAdvanced = true;
      if (s.leading !== undefined) proposeWaiting(s, s.leading, out);
  }
}

/** Once phase 2 has begun, only slots that voters to come decide still wait for promises. */
function openFrom({ leading, configuration }: PaxosState): number {
  if (leading === undefined) return 0;
  return configuration.next === undefined ? Number.POSITIVE_INFINITY : configuration.nextFrom;
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
    const outcome = s.configuration.electorate.outcome('prepare', c.refusals);
    if (outcome === 'lost') becomeFollower(s, out, undefined, 'its ballot is refused');
    if (m.promised.round === ballot.round) noteRival(s, m.promised.node);
    else s.elector.campaignRefused(s.view);
  }
}

/** Of the leader that we follow, and in its ballot. */
export function onTakeOver(s: PaxosState, out: Outbox, from: NodeId, m: TakeOver): void {
  if (s.leader === from && sameBallot(m.ballot, s.promised) && mayLead(s.view)) campaign(s, out, m);
}

/** Nobody else's values are chosen in a lower ballot from now on: what was voted for is proposed again, and gaps are filled. */
function lead(s: PaxosState, { phase, leasesEnded }: Campaign, out: Outbox): void {
  noteFoundVotes(s, phase, leasesEnded);
  s.role = 'leader';
  s.leader = s.id;
  s.campaign = undefined;
  s.learning = undefined;
  const leading = newLeading(s, phase);
  s.leading = leading;
  for (const slot of phase.adopted.keys()) if (slot < leading.start) phase.adopted.delete(slot);
  restartAt(s.durability, s.log.chosenIndex);
  const { start, firstOwn } = leading;
  out.trace('leader_elected', { ballot: nameOf(phase.ballot), start, adopted: firstOwn - start });
  establish(s, leading, out);
  proposeWaiting(s, leading, out);
  if (leading.nextSlot === start) heartbeatAll(s, leading, out);
}

function newLeading(s: PaxosState, phase: PhaseOne): Leading {
  const { firstUnchosen: start, chosenChecksum, members } = s.log;
  const peers = peersOf(members, s.id);
  return {
    ballot: phase.ballot,
    phase,
    start,
    nextSlot: start,
    lastChecksum: chosenChecksum,
    firstOwn: Math.max(start, phase.adoptedTo + 1) as LogIndex,
    established: false,
    followed: members,
    departing: new Map(),
    change: undefined,
    membersSettled: false,
    membersRound: 0,
    membersSlot: 0 as LogIndex,
    progress: new Map(peers.map((id) => [id, newProgress(start, s.now)] as const)),
    nextHeartbeatAt: (s.now + s.config.timing.heartbeatIntervalMs) as Millis,
    announceAt: never,
    unchosenBytes: 0,
    proposed: [],
    leaseFrom: Number.NEGATIVE_INFINITY as Millis,
    leaseGivenUp: false,
    waiting: [],
    waitingBytes: 0,
    round: 0,
    roundIndex: s.log.chosenIndex,
    roundReads: [],
    waitingReads: [],
  };
}
