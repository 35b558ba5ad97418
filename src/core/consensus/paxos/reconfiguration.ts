/**
 * Changes of membership by the α-window ("The Part-Time Parliament", §3.3.5; Lamport, Malkhi, Zhou 2010, "Reconfiguring a State Machine",
 * §3; configuration.ts says who decides where). Nodes that are to vote listen first, until they have caught up. Then a first entry names
 * the voters to come; from the slot on where it takes force, nothing is proposed before a prepare quorum of these has promised; the leader
 * fills the slots before it with no-ops if nothing else comes, and there proposes a second entry, of the new voters alone. With that
 * chosen the change is done, and a leader outside steps down. Whoever leads meanwhile goes on with it.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import { type CatchUpRound, lookAgain, newRound, withState } from '../catch-up-round.ts';
import type { ControlId, DropReason, LogIndex, Members } from '../engine.ts';
import { noop } from '../entry-format.ts';
import { isVoter, peersOf, quorumSystemOf, sizesFit } from '../quorums.ts';
import { sameBallot } from './ballot.ts';
import type { Fed } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { prepare } from './prepare.ts';
import { newProgress, type Progress } from './progress.ts';
import { proposeWaiting, takeIn } from './proposals.ts';
import { becomeFollower } from './role.ts';
import { heartbeat, heartbeatAll, sendTo } from './sending.ts';
import type { ChangeRequest, Leading, MemberChange, PaxosState } from './state.ts';
import { nameSuccessor } from './transfer.ts';

/** As many as a configuration in the log can hold. */
const membersMax = 64;
/** Election timeouts after which a silent node that has left is not told so any more. */
const farewellMaxTimeouts = 4;

// ---------------------------------------------------------------- the request

export function changeMembers(s: PaxosState, out: Outbox, id: ControlId, request: ChangeRequest): void {
  const { leading } = s;
  const reason = leading === undefined ? 'notLeader' : refusalOf(s, leading, request.members);
  if (reason !== undefined) {
    out.drop({ kind: 'control', id, request, reason });
    return;
  }
  leading!.change = { id, request, before: s.log.members, stage: 'asked', catchingUp: new Map() };
  leading!.membersSettled = false;
}

function refusalOf(s: PaxosState, leading: Leading, goal: Members): DropReason | undefined {
  const { members } = s.log;
  if (s.transfer !== undefined || leading.change !== undefined) return 'changeInProgress';
  if (members.votersNext !== undefined || leading.membersSlot > s.log.chosenIndex) return 'changeInProgress';
  if (!isWellFormed(s, goal)) return 'membersInvalid';
  // who is not known to be silent is looked at again before the change
  const isUnknown = (voter: NodeId) => !leading.progress.has(voter) || mayStillAnswer(s, leading.progress.get(voter));
  return hearsQuorumsOf(s, leading, goal, isUnknown) ? undefined : 'membersInvalid';
}

function isWellFormed({ config }: PaxosState, { voters, votersNext, nonVoters }: Members): boolean {
  const all = [...voters, ...nonVoters];
  const isSet = new Set(all).size === all.length && all.length <= membersMax;
  const canDecide = voters.length > 0 && (config.quorums === undefined || sizesFit(voters.length, config.quorums));
  return votersNext === undefined && isSet && canDecide;
}

/** Whether those who are to vote could decide anything: a quorum of each phase is heard, or is given the `benefit` of the doubt. */
function hearsQuorumsOf(s: PaxosState, leading: Leading, goal: Members, benefit: (voter: NodeId) => boolean): boolean {
  const there = goal.voters.filter((id) => id === s.id || benefit(id) || isHeard(s, leading.progress.get(id)));
  const quorums = quorumSystemOf(goal, s.config.quorums);
  return quorums.isQuorum('prepare', there) && quorums.isQuorum('accept', there);
}

function isHeard(s: PaxosState, p: Progress | undefined): boolean {
  return p?.lacks !== undefined && s.now - p.heardAt < s.config.timing.electionTimeoutMaxMs;
}

function mayStillAnswer(s: PaxosState, p: Progress | undefined): boolean {
  return p !== undefined && p.lacks === undefined && s.now - p.heardAt < s.config.timing.electionTimeoutMaxMs;
}

// ---------------------------------------------------------------- on the way

/** To be called after each step of a leader. Nothing happens before all is decided that was proposed before it. */
export function continueChange(s: PaxosState, leading: Leading, out: Outbox): void {
  if (leading.followed !== s.log.members) followMembers(s, leading, out);
  if (leading.membersSettled || !leading.established || leading.membersSlot > s.log.chosenIndex) return;
  const { change } = leading;
  if (s.log.members.votersNext !== undefined) pursueSwitch(s, leading, out, s.log.members.votersNext);
  else if (change?.stage === 'asked') begin(s, leading, out, change);
  else if (change?.stage === 'catchingUp') catchUp(s, leading, out, change);
  else if (change !== undefined) finish(s, leading, out, change);
  else if (areOfBefore(s, leading) || votersHaveAll(s, leading, out)) settle(s, leading, out);
}

/** The members were chosen before we led, and we have a vote: there is nothing to be done. */
function areOfBefore({ id, log }: PaxosState, { start }: Leading): boolean {
  return log.membersIndex < start && isVoter(log.members, id);
}

/** See EngineStatus. Of members that were chosen before we led, whoever answers to us that it lacks nothing has them, and all before them. */
export function membersAreSettled(s: PaxosState): boolean {
  const { leading, log, id, configuration } = s;
  if (leading?.membersSettled !== true) return false;
  if (log.membersIndex >= leading.start) return true;
  const has = (voter: NodeId) =>
    voter === id ? isOnRecord(s, log.membersIndex) : leading.progress.get(voter)?.lacks === 0;
  return configuration.electorate.isQuorum('accept', log.members.voters.filter(has));
}

/**
 * Whether those who vote from now on can do without everybody else: an accept quorum of them has said, since the members are chosen, that it
 * lacks nothing that was called chosen, these members included. Until then some slots may be with the old voters only, who may be switched
 * off once the change is done; and the new ones need not know that they are voters.
 */
function votersHaveAll(s: PaxosState, leading: Leading, out: Outbox): boolean {
  if (leading.membersRound === 0) {
    leading.round += 1;
    leading.membersRound = leading.round;
    heartbeatAll(s, leading, out);
  }
  const { membersIndex } = s.log;
  const whole = s.configuration.electorate.reached('accept', (voter) => {
    const p = leading.progress.get(voter);
    if (voter === s.id) return isOnRecord(s, membersIndex) ? leading.round : -1;
    return p !== undefined && p.matchIndex >= membersIndex ? p.wholeRound : -1;
  });
  return whole >= leading.membersRound;
}

/** Our own disk says that the members are chosen. */
function isOnRecord({ durability, learnedIo }: PaxosState, membersIndex: LogIndex): boolean {
  return durability.durableIndex >= membersIndex && learnedIo <= durability.persistedIo;
}

function finish(s: PaxosState, leading: Leading, out: Outbox, change: MemberChange): void {
  if (!votersHaveAll(s, leading, out)) return;
  leading.change = undefined;
  out.complete(change.id);
  settle(s, leading, out);
}

/**
 * Who is to vote, and is not here yet, listens first. The members may be others than when the change was asked for: what earlier leaders
 * proposed came before it. By that the leader itself may have no vote, and be to get one again: it is here.
 */
function begin(s: PaxosState, leading: Leading, out: Outbox, change: MemberChange): void {
  const { request } = change;
  const before = s.log.members;
  change.before = before;
  const toVote = request.members.voters.filter((id) => !before.voters.includes(id));
  for (const id of toVote) if (id !== s.id) change.catchingUp.set(id, newRound(lastProposed(leading), s.now));
  const strangers = toVote.filter((id) => !before.nonVoters.includes(id));
  change.stage = 'catchingUp';
  if (strangers.length > 0) enter(s, leading, out, { ...before, nonVoters: [...before.nonVoters, ...strangers] });
  else catchUp(s, leading, out, change);
}

function lastProposed(leading: Leading): LogIndex {
  return (leading.nextSlot - 1) as LogIndex;
}

function catchUp(s: PaxosState, leading: Leading, out: Outbox, change: MemberChange): void {
  for (const [id, round] of change.catchingUp) {
    const now = lookAgain(round, catchUpView(s, leading, id, round), s.config.timing);
    if (now === 'givenUp') {
      abandon(s, leading, out, change, 'targetUnavailable');
      return;
    }
    if (now === 'caughtUp') change.catchingUp.delete(id);
    else change.catchingUp.set(id, now);
  }
  if (change.catchingUp.size === 0) switchOver(s, leading, out, change);
}

function catchUpView(s: PaxosState, leading: Leading, id: NodeId, { target }: CatchUpRound) {
  const { matchIndex, lacks, heardAt } = leading.progress.get(id)!;
  return {
    now: s.now,
    heardAt,
    isReached: lacks === 0 && matchIndex >= target,
    lacked: (lacks ?? Number.POSITIVE_INFINITY) + Math.max(0, target - matchIndex),
    isSentState: s.streaming.has(id),
    end: lastProposed(leading),
  };
}

/** Somebody else streams his state to a node that is to vote: it is not given up meanwhile. */
export function onFed(s: PaxosState, from: NodeId, { ballot }: Fed): void {
  const { leading } = s;
  if (leading !== undefined && sameBallot(ballot, leading.ballot)) noteStateDelivered(leading, from, s.now);
}

/** The state that was sent to it has arrived there; it says so itself soon, and is not given up before. */
export function noteStateDelivered({ change }: Leading, id: NodeId, now: Millis): void {
  const round = change?.catchingUp.get(id);
  if (round !== undefined) change!.catchingUp.set(id, withState(round, now));
}

function switchOver(s: PaxosState, leading: Leading, out: Outbox, change: MemberChange): void {
  const { before, request } = change;
  const goal = request.members;
  if (goal.voters.some((voter) => mayStillAnswer(s, leading.progress.get(voter)))) return;
  if (!hearsQuorumsOf(s, leading, goal, () => false)) {
    abandon(s, leading, out, change, 'membersInvalid');
    return;
  }
  change.stage = 'switching';
  if (!isSame(before.voters, goal.voters))
    enter(s, leading, out, { voters: before.voters, votersNext: goal.voters, nonVoters: goal.nonVoters });
  else if (!isSame(s.log.members.nonVoters, goal.nonVoters)) enter(s, leading, out, goal);
  else finish(s, leading, out, change);
}

/** As it was before: who was to vote and has only listened so far goes again. */
function abandon(s: PaxosState, leading: Leading, out: Outbox, change: MemberChange, reason: DropReason): void {
  const { id, request, before } = change;
  leading.change = undefined;
  out.drop({ kind: 'control', id, request, reason });
  out.trace('member_change_abandoned', { round: leading.ballot.round, reason });
  if (!isSame(s.log.members.nonVoters, before.nonVoters)) enter(s, leading, out, before);
}

/** Fills the window up to the slot that the new voters decide, as far as nothing else does, and has them decide that they do. */
function pursueSwitch(s: PaxosState, leading: Leading, out: Outbox, votersNext: readonly NodeId[]): void {
  askForPromises(s, leading, out, votersNext);
  const { nextFrom } = s.configuration;
  for (let slot = leading.nextSlot + leading.waiting.length; slot < nextFrom; slot++) takeIn(leading, noop);
  enter(s, leading, out, { voters: votersNext, nonVoters: s.log.members.nonVoters });
}

/** Who is to vote and has not promised in our ballot is asked to, once; then with each heartbeat. */
function askForPromises(s: PaxosState, { phase }: Leading, out: Outbox, votersNext: readonly NodeId[]): void {
  for (const id of votersNext) {
    if (phase.promises.includes(id) || phase.asked.has(id)) continue;
    phase.asked.set(id, s.log.firstUnchosen);
    prepare(s, out, id, phase, false);
  }
}

export function askAgainForPromises(s: PaxosState, { phase }: Leading, out: Outbox): void {
  for (const id of s.log.members.votersNext ?? []) if (phase.asked.has(id)) prepare(s, out, id, phase, false);
}

/** The configuration is in force once it is delivered, as far as listening goes; voting, from α slots later on. */
function enter(s: PaxosState, leading: Leading, out: Outbox, members: Members): void {
  leading.membersSlot = Number.MAX_SAFE_INTEGER as LogIndex;
  takeIn(leading, { kind: 'members', members });
  proposeWaiting(s, leading, out);
  const { voters, votersNext = [], nonVoters } = members;
  const fields = { voters: voters.join(' '), votersNext: votersNext.join(' '), nonVoters: nonVoters.join(' ') };
  out.trace('members_proposed', { round: leading.ballot.round, ...fields });
}

// ---------------------------------------------------------------- who is followed

/** Who has just left is still followed, so that it learns that it has. */
function followMembers(s: PaxosState, leading: Leading, out: Outbox): void {
  leading.followed = s.log.members;
  leading.membersRound = 0;
  const peers = peersOf(s.log.members, s.id);
  for (const id of peers) {
    leading.departing.delete(id);
    if (leading.progress.has(id)) continue;
    const p = newProgress(s.log.firstUnchosen, s.now);
    leading.progress.set(id, p);
    heartbeat(s, leading, out, id, p);
    sendTo(s, leading, out, id, p);
  }
  const until = (s.now + farewellMaxTimeouts * s.config.timing.electionTimeoutMaxMs) as Millis;
  for (const id of leading.progress.keys())
    if (!peers.includes(id) && !leading.departing.has(id)) leading.departing.set(id, until);
}

/** Lets those go who know that they have left, or will not hear of it. */
export function sayFarewell(s: PaxosState, leading: Leading): void {
  const { membersIndex } = s.log;
  for (const [id, until] of leading.departing) {
    const p = leading.progress.get(id)!;
    const knows = p.lacks === 0 && p.matchIndex >= membersIndex && p.sentChosen >= membersIndex;
    if (!knows && s.now < until) continue;
    leading.departing.delete(id);
    leading.progress.delete(id);
  }
}

/** The configuration in force is chosen and nothing is left to be done. */
function settle(s: PaxosState, leading: Leading, out: Outbox): void {
  leading.membersSettled = true;
  if (isVoter(s.log.members, s.id)) return;
  heartbeatAll(s, leading, out);
  nameSuccessor(s, leading, out);
  becomeFollower(s, out, undefined, 'it has no vote any more');
}

function isSame(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
