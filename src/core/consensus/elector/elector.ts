/**
 * When to seek leadership, and when to give it up: the liveness half of leader election, apart from the protocol that makes it safe. An
 * engine owns one elector, feeds it time and messages, and does what it asks; whatever it asks, safety is the engine's (votes in Raft,
 * promises in Multi-Paxos). Two policies, for either engine: `timeout` (randomised time-outs, PreVote, CheckQuorum: Ongaro's
 * dissertation §3.4, §9.6, §6.2) and `ballot` (heartbeat rounds among quorum-connected candidates: Ng, Haridi, Carbone 2023, "Omni-Paxos",
 * §5.2).
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { ElectorName, EngineTiming, Members } from '../engine.ts';
import type { QuorumSystem } from '../quorums.ts';
import type { ElectorMessage } from './messages.ts';

/** What an elector may know of the engine it serves, as of now. */
export interface ElectorView {
  readonly id: NodeId;
  readonly now: Millis;
  /** The configuration in force for elections. */
  readonly members: Members;
  /** Who has to agree in it: a `prepare` quorum to a new leader, an `accept` quorum for one to get anything done. */
  readonly quorums: QuorumSystem;
  /**
   * Whether we may lead: a voter, or one that a change leaves out which is not known to be committed. Nobody else may have what it takes to
   * see that through (dissertation §4.2.2).
   */
  readonly eligible: boolean;
  readonly timing: EngineTiming;
  /** Raft's currentTerm, or the round of the highest ballot seen. */
  readonly term: number;
  readonly leader: NodeId | undefined;
  readonly leading: boolean;
  /** Our disk has owed us a write for longer than electionTimeoutMaxMs: whoever leads or seeks to should be another. */
  readonly diskStalled: boolean;
  /** How far this log reaches where only an up-to-date node can win (Raft: last term, last index); equal everywhere if any node can. */
  readonly standing: Standing;
  /** On a leader: when `peer` was last heard of, in answer to this leadership; before all time if never. */
  heardAt(peer: NodeId): number;
}

/** Compared in this order. */
export type Standing = readonly [term: number, index: number];

export function reaches(standing: Standing, other: Standing): boolean {
  return standing[0] > other[0] || (standing[0] === other[0] && standing[1] >= other[1]);
}

/** Somebody else who seeks to lead, in the same term or ballot round as we do. */
export interface Rival {
  readonly id: NodeId;
  readonly standing: Standing;
}

/**
 * Of two rivals one gives way: the one that the other could not vote for, and otherwise, as among ballots of one round, the one of the lower id.
 * Both see it the same way, so a vote that was split is not split again.
 */
export function outranks({ id, standing }: Rival, view: ElectorView): boolean {
  return reaches(standing, view.standing) && (!reaches(view.standing, standing) || id > view.id);
}

/** What an elector asks of its engine. */
export interface ElectorOutbox {
  /** Leaves when the term that it may tell is durable. */
  send(to: NodeId, message: ElectorMessage): void;
  /** No leader is heard: none is taken to lead from now on, and we find out whether we would be elected (role `preCandidate`). */
  canvass(): void;
  /** No leader is heard: none is taken to lead from now on, and we do not seek to (role `follower`). */
  standBy(): void;
  /** Seek leadership now: a term or ballot above all that were seen. */
  campaign(): void;
  /** Stop leading. */
  abdicate(why: string): void;
  /** A peer knows of this higher term or ballot round: take it over, with no leader known in it. */
  higherTerm(term: number): void;
  trace(name: string, fields: Readonly<Record<string, string | number | boolean>>): void;
}

/**
 * While it leads, an engine ticks its elector at least once in each heartbeat interval. Calls to the outbox may come back as `restart`
 * before they return.
 */
export interface Elector {
  readonly name: ElectorName;
  /** When it next wants `tick`, at the latest. */
  nextTickAt(view: ElectorView): Millis;
  tick(view: ElectorView, out: ElectorOutbox): void;
  receive(view: ElectorView, out: ElectorOutbox, from: NodeId, message: ElectorMessage): void;
  /** The leader of our term or ballot was heard: patience begins anew. */
  leaderHeard(view: ElectorView): void;
  /** We voted or promised, stepped down, or began a campaign: patience begins anew. */
  restart(view: ElectorView): void;
  /**
   * The candidate that we have promised to follow goes on with what it must learn before it can lead: our patience begins anew, and for as
   * long as a leader that is silent would be protected nobody else is helped to be elected. Else candidates that do not hear each other
   * would interrupt each other for ever.
   */
  candidateHeard(view: ElectorView, candidate: NodeId): void;
  /** The campaign may come to nothing: somebody has refused it, for this rival if it is known for whom. */
  campaignRefused(view: ElectorView, rival?: Rival): void;
  /** Whether a vote or promise for somebody else would take leadership from one that is heard (dissertation §4.2.3). */
  protectsLeader(view: ElectorView): boolean;
  clone(): Elector;
}

/** Whether we may seek leadership at all. */
export function mayLead(view: ElectorView): boolean {
  return view.eligible && !view.diskStalled;
}

/** CheckQuorum: a leader that is cut off stops leading, so that its clients look elsewhere; and so does one whose disk stalls. */
export function checkLeadership(view: ElectorView, out: ElectorOutbox): void {
  const heardAt = view.quorums.reached('accept', (voter) => (voter === view.id ? view.now : view.heardAt(voter)));
  if (view.now - heardAt >= view.timing.electionTimeoutMaxMs) out.abdicate('it has not heard from a quorum');
  else if (view.diskStalled) out.abdicate('its disk has stalled');
}
