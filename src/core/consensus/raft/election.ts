/** Leader election (§5.2, §5.4.1): terms and votes. When to seek election, and what to find out before, is the elector's. */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { LogIndex } from '../engine.ts';
import { entryBytes, noop } from '../entry-format.ts';
import { isVoter, voteOutcome } from '../quorums.ts';
import type { RequestVote, RequestVoteResponse } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { newProgress } from './progress.ts';
import { appendOwn } from './proposals.ts';
import { peersOfSelf, replicateToAll } from './replication.ts';
import { becomeFollower } from './role.ts';
import { longAgo, membersOf, never, type RaftState } from './state.ts';
import { toTerm } from './term.ts';

// ---------------------------------------------------------------- candidates

/**
 * Our vote for ourselves counts, and the others are asked, only once term and vote are durable. `transfer`: the leader wants it (§4.2.3 of
 * the dissertation).
 */
export function becomeCandidate(s: RaftState, out: Outbox, transfer = false): void {
  s.role = 'candidate';
  s.leader = undefined;
  s.currentTerm = toTerm(s.currentTerm + 1);
  s.votedFor = s.id;
  s.votes.clear();
  out.recordHardState();
  s.elector.restart(s.view);
  out.trace('election_started', { term: s.currentTerm, lastLogIndex: s.log.lastIndex });
  for (const to of votersBut(s))
    out.sendAfter(s.durability.termIo, to, { kind: 'requestVote', term: s.currentTerm, ...lastOfLog(s), transfer });
}

/** To be called when a write has become durable. */
export function countOwnVote(s: RaftState, out: Outbox): void {
  if (s.role !== 'candidate' || s.durability.termIo > s.durability.persistedIo) return;
  s.votes.set(s.id, true);
  countVotes(s, out);
}

function countVotes(s: RaftState, out: Outbox): void {
  const outcome = voteOutcome(membersOf(s), s.votes);
  if (outcome === 'won') becomeLeader(s, out);
  else if (outcome === 'lost') becomeFollower(s, out, s.currentTerm, undefined, 'its election was lost');
}

export function onRequestVoteResponse(s: RaftState, out: Outbox, from: NodeId, m: RequestVoteResponse): void {
  if (m.term > s.currentTerm) {
    becomeFollower(s, out, m.term, undefined, 'a voter knows a higher term');
    return;
  }
  if (s.role !== 'candidate' || m.term !== s.currentTerm) return;
  s.votes.set(from, m.voteGranted);
  countVotes(s, out);
  if (!m.voteGranted && s.leading === undefined) s.elector.campaignRefused(s.view);
}

/** Opens the term with a no-op: entries of earlier terms are committed with it (§5.4.2, §8). */
function becomeLeader(s: RaftState, out: Outbox): void {
  const lastIndex = s.log.lastIndex;
  s.role = 'leader';
  s.leader = s.id;
  s.votes.clear();
  const leading = {
    termStart: (lastIndex + 1) as LogIndex,
    established: false,
    progress: new Map(peersOfSelf(s).map((id) => [id, newProgress(lastIndex, s.now)] as const)),
    departing: new Map<NodeId, Millis>(),
    change: undefined,
    membersSettled: false,
    resumeAt: never,
    nextHeartbeatAt: (s.now + s.config.timing.heartbeatIntervalMs) as Millis,
    announceAt: never,
    uncommittedBytes: uncommittedBytes(s),
    appended: [],
    leaseFrom: longAgo,
    leaseGivenUp: false,
    round: 0,
    roundIndex: 0 as LogIndex,
    roundReads: [],
    waitingReads: [],
  };
  s.leading = leading;
  if (s.noLeaseBefore === s.currentTerm) s.othersLeaseUntil = longAgo;
  out.trace('leader_elected', { term: s.currentTerm, lastLogIndex: lastIndex });
  appendOwn(s, leading, out, noop);
  replicateToAll(s, leading, out);
}

function uncommittedBytes(s: RaftState): number {
  let bytes = 0;
  for (let index = s.commitIndex + 1; index <= s.log.lastIndex; index++) bytes += entryBytes(s.log.at(index)!);
  return bytes;
}

// ---------------------------------------------------------------- voters

/** Granted once a term, to a log that is no older than ours; the answer leaves when the vote is durable. */
export function onRequestVote(s: RaftState, out: Outbox, from: NodeId, m: RequestVote): void {
  if (s.role === 'candidate' && m.term === s.currentTerm)
    s.elector.campaignRefused(s.view, { id: from, standing: [m.lastLogTerm, m.lastLogIndex] });
  const disturbs = !m.transfer && s.elector.protectsLeader(s.view);
  if (m.term > s.currentTerm && !disturbs) becomeFollower(s, out, m.term, undefined, 'a candidate has a higher term');
  const free = s.votedFor === undefined || s.votedFor === from;
  const voteGranted = m.term === s.currentTerm && !disturbs && free && isUpToDate(s, m);
  if (voteGranted) grantVote(s, out, from);
  out.sendAfter(s.durability.termIo, from, { kind: 'requestVoteResponse', term: s.currentTerm, voteGranted });
}

function grantVote(s: RaftState, out: Outbox, candidate: NodeId): void {
  s.elector.restart(s.view);
  if (s.votedFor === candidate) return;
  s.role = 'follower';
  s.votes.clear();
  s.votedFor = candidate;
  out.recordHardState();
  out.trace('vote_granted', { term: s.currentTerm, candidate });
}

/** The later last term wins; with the same last term, the longer log (§5.4.1). */
function isUpToDate(s: RaftState, m: RequestVote): boolean {
  const { lastTerm, lastIndex } = s.log;
  return m.lastLogTerm > lastTerm || (m.lastLogTerm === lastTerm && m.lastLogIndex >= lastIndex);
}

function lastOfLog(s: RaftState) {
  return { lastLogIndex: s.log.lastIndex, lastLogTerm: s.log.lastTerm };
}

function votersBut(s: RaftState): readonly NodeId[] {
  return peersOfSelf(s).filter((id) => isVoter(membersOf(s), id));
}
