/**
 * Linearizable reads on any node, without the leader (Charapko, Ailijiang, Demirbas 2019, "Linearizable Quorum Reads in Paxos"): ask a
 * prepare quorum for the last slot in which each has voted or knows a value. Whatever was acknowledged before was voted for by an accept
 * quorum, which meets it; so once everything up to the highest of those slots is delivered here, the read may be served. A change of
 * members that is delivered on the way may mean that others decide by now: then they are asked instead, since everything before it is here; those
 * who decided before may be gone.
 *
 * One round is under way at a time; reads that arrive meanwhile wait for the next. Its token is unique for the life of the engine and,
 * but for a chance of 2^-50, for the node: a late answer never confirms a later read.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { LogIndex, ReadId } from '../engine.ts';
import { noop } from '../entry-format.ts';
import { isVoter, peersOf } from '../quorums.ts';
import { windowOf } from './configuration.ts';
import type { Fill, ReadQuery, ReadReply } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { proposeWaiting, takeIn } from './proposals.ts';
import type { ReadRound } from './read-round.ts';
import type { PaxosState } from './state.ts';

/** Reads that may wait on one node. */
const readsWaitingMax = 65_536;
/** Election timeouts after which a read is given up. */
const patienceTimeouts = 4;

export function readByQuorum(s: PaxosState, out: Outbox, id: ReadId): void {
  const q = s.quorumReads;
  if (q.waiting.length + (q.round?.reads.length ?? 0) >= readsWaitingMax) {
    out.drop({ kind: 'read', id, reason: 'queueFull' });
    return;
  }
  q.waiting.push(id);
  if (q.round === undefined) beginRound(s, out, q.waiting.splice(0), giveUpTime(s));
}

function giveUpTime({ now, config }: PaxosState): Millis {
  return (now + patienceTimeouts * config.timing.electionTimeoutMaxMs) as Millis;
}

function beginRound(s: PaxosState, out: Outbox, reads: readonly ReadId[], giveUpAt: Millis): void {
  const q = s.quorumReads;
  q.token += 1;
  const { configuration } = s;
  q.round = { reads, configuration, answers: new Map(), index: undefined, askAgainAt: s.now, giveUpAt };
  q.round.answers.set(s.id, s.log.lastIndex);
  ask(s, out, q.round);
}

function ask(s: PaxosState, out: Outbox, round: ReadRound): void {
  const { members } = s.log;
  for (const id of peersOf(members, s.id))
    if (isVoter(members, id) && !round.answers.has(id)) out.send(id, { kind: 'readQuery', token: s.quorumReads.token });
  round.askAgainAt = (s.now + s.config.timing.heartbeatIntervalMs) as Millis;
}

/** Votes that are not durable yet count as well: what is chosen is among them, and more does no harm. */
export function onReadQuery(s: PaxosState, out: Outbox, from: NodeId, { token }: ReadQuery): void {
  out.send(from, { kind: 'readReply', token, lastIndex: s.log.lastIndex });
}

export function onReadReply(s: PaxosState, from: NodeId, { token, lastIndex }: ReadReply): void {
  const { round } = s.quorumReads;
  if (round !== undefined && token === s.quorumReads.token) round.answers.set(from, lastIndex);
}

/** To be called after each step while a round is under way: goes on with it as far as that has become possible. */
export function continueQuorumReads(s: PaxosState, out: Outbox): void {
  const q = s.quorumReads;
  for (let { round } = q; round !== undefined; round = q.round) {
    if (round.configuration !== s.configuration) {
      beginRound(s, out, round.reads, round.giveUpAt);
      continue;
    }
    round.index ??= highestOfQuorum(round);
    if (round.index === undefined || s.log.chosenIndex < round.index) {
      askOn(s, out, round);
      return;
    }
    for (const id of round.reads) out.grantRead(id, round.index);
    endRound(s, out);
  }
}

function endRound(s: PaxosState, out: Outbox): void {
  const q = s.quorumReads;
  q.round = undefined;
  if (q.waiting.length > 0) beginRound(s, out, q.waiting.splice(0), giveUpTime(s));
}

function highestOfQuorum({ answers, configuration }: ReadRound): LogIndex | undefined {
  if (!configuration.electorate.isQuorum('prepare', [...answers.keys()])) return undefined;
  return Math.max(...answers.values()) as LogIndex;
}

/** Who has not answered is asked again; who leads is told of a slot that is long in being chosen, and who knows of it for its value. */
function askOn(s: PaxosState, out: Outbox, round: ReadRound): void {
  if (s.now >= round.giveUpAt) {
    for (const id of round.reads) out.drop({ kind: 'read', id, reason: 'noQuorum' });
    endRound(s, out);
  } else if (s.now >= round.askAgainAt) {
    if (round.index === undefined) ask(s, out, round);
    else urge(s, out, round, round.index);
  }
}

function urge(s: PaxosState, out: Outbox, round: ReadRound, index: LogIndex): void {
  if (s.leader === s.id) fill(s, out, index);
  else if (s.leader !== undefined) out.send(s.leader, { kind: 'fill', slot: index });
  const knows = [...round.answers].find(([id, last]) => id !== s.id && last >= index)?.[0];
  if (knows !== undefined) out.send(knows, { kind: 'learn', first: s.log.firstUnchosen, last: index });
  round.askAgainAt = (s.now + s.config.timing.heartbeatIntervalMs) as Millis;
}

export function onFill(s: PaxosState, out: Outbox, { slot }: Fill): void {
  fill(s, out, slot);
}

/** Somebody waits for a slot in which there are votes of an earlier ballot that we have not seen: nothing may ever come there by itself. */
function fill(s: PaxosState, out: Outbox, slot: LogIndex): void {
  const { leading } = s;
  if (leading === undefined || slot > s.log.chosenIndex + windowOf(s.config)) return;
  for (let at = leading.nextSlot + leading.waiting.length; at <= slot; at++) takeIn(leading, noop);
  proposeWaiting(s, leading, out);
}
