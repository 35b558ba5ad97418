/**
 * Changes of membership by joint consensus (§4.3 of the dissertation; Raft §6): C-old, then C-old,new, then C-new, each a configuration
 * in the log that is in force from when it is appended, and the next not before it is committed. Nodes that are to vote listen first,
 * until they have caught up (§4.2.1). Whoever leads when the joint configuration is committed goes on to C-new; a leader outside C-new
 * steps down once that is committed (§4.2.2).
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import { type CatchUpRound, lookAgain, newRound, withState } from '../catch-up-round.ts';
import type { ControlId, DropReason, LogIndex, Members } from '../engine.ts';
import { isVoter, peersOf, quorumReached } from '../quorums.ts';
import type { Outbox } from './outbox.ts';
import { newProgress, type Progress } from './progress.ts';
import { appendOwn } from './proposals.ts';
import { confirmReads } from './read-index.ts';
import { heartbeatAll, replicateToAll } from './replication.ts';
import { becomeFollower } from './role.ts';
import { type ChangeRequest, type Leading, type MemberChange, membersOf, type RaftState } from './state.ts';
import { nameSuccessor } from './transfer.ts';

/** As many as a configuration in the log can hold. */
const membersMax = 64;
/** Election timeouts after which a silent node that has left is not told so any more. */
const farewellMaxTimeouts = 4;

export function changeMembers(s: RaftState, out: Outbox, id: ControlId, request: ChangeRequest): void {
  const { leading } = s;
  const reason = leading === undefined ? 'notLeader' : refusalOf(s, leading, request.members);
  if (reason !== undefined) {
    out.drop({ kind: 'control', id, request, reason });
    return;
  }
  leading!.change = { id, request, before: membersOf(s), stage: 'asked', catchingUp: new Map() };
  leading!.membersSettled = false;
}

function refusalOf(s: RaftState, leading: Leading, goal: Members): DropReason | undefined {
  const members = membersOf(s);
  if (s.transfer !== undefined || leading.change !== undefined) return 'changeInProgress';
  if (members.votersNext !== undefined || s.log.membersIndex > s.commitIndex) return 'changeInProgress';
  if (!isWellFormed(goal)) return 'membersInvalid';
  // who is not known to be silent is looked at again before the change
  const isUnknown = (voter: NodeId) => !leading.progress.has(voter) || mayStillAnswer(s, leading.progress.get(voter));
  return hearsQuorumOf(s, leading, goal, isUnknown) ? undefined : 'membersInvalid';
}

function isWellFormed({ voters, votersNext, nonVoters }: Members): boolean {
  const all = [...voters, ...nonVoters];
  return voters.length > 0 && votersNext === undefined && new Set(all).size === all.length && all.length <= membersMax;
}

/** Whether those who are to vote could commit anything: a quorum of them is heard, or is given the `benefit` of the doubt. */
function hearsQuorumOf(s: RaftState, leading: Leading, goal: Members, benefit: (voter: NodeId) => boolean): boolean {
  const there = (voter: NodeId) => voter === s.id || benefit(voter) || isHeard(s, leading.progress.get(voter));
  return quorumReached({ voters: goal.voters, nonVoters: [] }, (voter) => (there(voter) ? 1 : 0)) === 1;
}

function isHeard(s: RaftState, p: Progress | undefined): boolean {
  return p?.hasAnswered === true && s.now - p.heardAt < s.config.timing.electionTimeoutMaxMs;
}

function mayStillAnswer(s: RaftState, p: Progress | undefined): boolean {
  return p?.hasAnswered === false && s.now - p.heardAt < s.config.timing.electionTimeoutMaxMs;
}

/**
 * To be called after each step of a leader. Nothing happens before an entry of its own term is committed (Ongaro 2015: without that, two
 * leaders could each change the members of a group that knows nothing of the other's change), nor before the configuration in
 * force is.
 */
export function continueChange(s: RaftState, leading: Leading, out: Outbox): void {
  if (leading.membersSettled || !leading.established || s.log.membersIndex > s.commitIndex) return;
  const members = membersOf(s);
  const { change } = leading;
  if (members.votersNext !== undefined)
    enter(s, leading, out, { voters: members.votersNext, nonVoters: members.nonVoters });
  else if (change === undefined) settle(s, leading, out);
  else if (change.stage === 'asked') begin(s, leading, out, change);
  else if (change.stage === 'catchingUp') catchUp(s, leading, out, change);
  else finish(s, leading, out, change);
}

function finish(s: RaftState, leading: Leading, out: Outbox, change: MemberChange): void {
  leading.change = undefined;
  out.complete(change.id);
  settle(s, leading, out);
}

/** Who is to vote, and is not here yet, listens first. */
function begin(s: RaftState, leading: Leading, out: Outbox, change: MemberChange): void {
  const { before, request } = change;
  const toVote = request.members.voters.filter((id) => !before.voters.includes(id));
  for (const id of toVote) change.catchingUp.set(id, newRound(s.log.lastIndex, s.now));
  const strangers = toVote.filter((id) => !before.nonVoters.includes(id));
  change.stage = 'catchingUp';
  if (strangers.length > 0) enter(s, leading, out, { ...before, nonVoters: [...before.nonVoters, ...strangers] });
  else catchUp(s, leading, out, change);
}

function catchUp(s: RaftState, leading: Leading, out: Outbox, change: MemberChange): void {
  for (const [id, round] of change.catchingUp) {
    const now = lookAgain(round, catchUpView(s, id, leading.progress.get(id)!, round), s.config.timing);
    if (now === 'givenUp') {
      abandon(s, leading, out, change, 'targetUnavailable');
      return;
    }
    if (now === 'caughtUp') change.catchingUp.delete(id);
    else change.catchingUp.set(id, now);
  }
  if (change.catchingUp.size === 0) switchOver(s, leading, out, change);
}

function catchUpView(s: RaftState, id: NodeId, { matchIndex, heardAt }: Progress, { target }: CatchUpRound) {
  return {
    now: s.now,
    heardAt,
    isReached: matchIndex >= target,
    lacked: target - matchIndex,
    isSentState: s.streaming.has(id),
    end: s.log.lastIndex,
  };
}

/** The state that was sent to it has arrived there; it says so itself soon, and is not given up before. */
export function noteStateDelivered({ change }: Leading, id: NodeId, now: Millis): void {
  const round = change?.catchingUp.get(id);
  if (round !== undefined) change!.catchingUp.set(id, withState(round, now));
}

function switchOver(s: RaftState, leading: Leading, out: Outbox, change: MemberChange): void {
  const { before, request } = change;
  const goal = request.members;
  if (goal.voters.some((voter) => mayStillAnswer(s, leading.progress.get(voter)))) return;
  if (!hearsQuorumOf(s, leading, goal, () => false)) {
    abandon(s, leading, out, change, 'membersInvalid');
    return;
  }
  change.stage = 'switching';
  if (!isSame(before.voters, goal.voters))
    enter(s, leading, out, { voters: before.voters, votersNext: goal.voters, nonVoters: goal.nonVoters });
  else if (!isSame(membersOf(s).nonVoters, goal.nonVoters)) enter(s, leading, out, goal);
  else finish(s, leading, out, change);
}

/** As it was before: who was to vote and has only listened so far goes again. */
function abandon(s: RaftState, leading: Leading, out: Outbox, change: MemberChange, reason: DropReason): void {
  const { id, request, before } = change;
  leading.change = undefined;
  out.drop({ kind: 'control', id, request, reason });
  out.trace('member_change_abandoned', { term: s.currentTerm, reason });
  if (!isSame(membersOf(s).nonVoters, before.nonVoters)) enter(s, leading, out, before);
}

/** The configuration is in force at once (§4.1). */
function enter(s: RaftState, leading: Leading, out: Outbox, members: Members): void {
  appendOwn(s, leading, out, { kind: 'members', members });
  followMembers(s, leading);
  const { voters, votersNext = [], nonVoters } = members;
  const fields = { voters: voters.join(' '), votersNext: votersNext.join(' '), nonVoters: nonVoters.join(' ') };
  out.trace('members_entered', { index: s.log.lastIndex, ...fields });
  replicateToAll(s, leading, out);
  confirmReads(s, leading, out); // those who have answered may be all who are asked now
}

/** Who has just left is still followed, so that it learns that it has. */
function followMembers(s: RaftState, leading: Leading): void {
  const peers = peersOf(membersOf(s), s.id);
  for (const id of peers) {
    // its first message holds the configuration that names it
    if (!leading.progress.has(id)) leading.progress.set(id, newProgress((s.log.lastIndex - 1) as LogIndex, s.now));
    leading.departing.delete(id);
  }
  const until = (s.now + farewellMaxTimeouts * s.config.timing.electionTimeoutMaxMs) as Millis;
  for (const id of leading.progress.keys())
    if (!peers.includes(id) && !leading.departing.has(id)) leading.departing.set(id, until);
}

/** Lets those go who know that they have left, or will not hear of it. */
export function sayFarewell(s: RaftState, leading: Leading): void {
  const { membersIndex } = s.log;
  for (const [id, until] of leading.departing) {
    const p = leading.progress.get(id)!;
    const knows = p.matchIndex >= membersIndex && p.sentCommit >= membersIndex;
    if (!knows && s.now < until && p.state !== 'snapshot') continue;
    leading.departing.delete(id);
    leading.progress.delete(id);
  }
}

/** The configuration in force is committed and nothing is left to be done. */
function settle(s: RaftState, leading: Leading, out: Outbox): void {
  leading.membersSettled = true;
  if (isVoter(membersOf(s), s.id)) return;
  heartbeatAll(s, leading, out);
  nameSuccessor(s, leading, out);
  becomeFollower(s, out, s.currentTerm, undefined, 'it has no vote any more');
}

function isSame(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
