/**
 * Randomised time-outs (Raft §5.2), with PreVote (§9.6 of the dissertation) and CheckQuorum (§6.2): who seeks election first asks
 * whether it would be elected, without raising anybody's term; who has heard of a leader recently says no.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { EngineConfig } from '../engine.ts';
import { isVoter, peersOf } from '../quorums.ts';
import { nextUniform, type SeededStream, seededStream } from '../seeded-stream.ts';
import {
  checkLeadership,
  type Elector,
  type ElectorOutbox,
  type ElectorView,
  mayLead,
  outranks,
  type Rival,
  reaches,
  type Standing,
} from './elector.ts';
import type { ElectorMessage, PreVote, PreVoteResponse } from './messages.ts';

export class TimeoutElector implements Elector {
  readonly name = 'timeout';
  readonly #random: SeededStream;
  /** Until when we wait before we seek election. Not used while leading. */
  #deadline = 0;
  /** When a message of the current leader last arrived; meaningless without a leader. */
  #heardAt = 0;
  /** Who has our promise and goes on, and when it was last heard; nobody once our patience has begun anew without it. */
  #candidate: NodeId | undefined;
  #candidateAt = 0;
  /** The term that we ask others about, while we do. */
  #asked: number | undefined;
  /** Until our patience begins anew a rival goes first. */
  #givesWay = false;
  /** Answers to our PreVote, by sender: a repeated answer counts once. */
  readonly #answers = new Map<NodeId, boolean>();

  constructor({ seed, id }: Pick<EngineConfig, 'seed' | 'id'>) {
    this.#random = seededStream(seed, id);
  }

  nextTickAt(view: ElectorView): Millis {
    return (view.leading ? Number.POSITIVE_INFINITY : this.#deadline) as Millis;
  }

  tick(view: ElectorView, out: ElectorOutbox): void {
    if (view.leading) checkLeadership(view, out);
    else if (view.now >= this.#deadline) this.#timeOut(view, out);
  }

  #timeOut(view: ElectorView, out: ElectorOutbox): void {
    this.restart(view);
    if (!mayLead(view)) {
      out.standBy();
      return;
    }
    const term = view.term + 1;
    this.#asked = term;
    this.#answers.clear();
    this.#answers.set(view.id, true);
    out.canvass();
    out.trace('pre_vote_asked', { term });
    const [standingTerm, standingIndex] = view.standing;
    for (const to of peersOf(view.members, view.id))
      if (isVoter(view.members, to)) out.send(to, { kind: 'preVote', term, standingTerm, standingIndex });
    this.#count(view, out);
  }

  receive(view: ElectorView, out: ElectorOutbox, from: NodeId, message: ElectorMessage): void {
    if (message.kind === 'preVote') this.#answer(view, out, from, message);
    else if (message.kind === 'preVoteResponse') this.#take(view, out, from, message);
    // heartbeats of a peer with the other elector are of no use here
  }

  #answer(view: ElectorView, out: ElectorOutbox, from: NodeId, m: PreVote): void {
    const standing: Standing = [m.standingTerm, m.standingIndex];
    const isOpen = !this.protectsLeader(view) && !this.#protectsCandidate(view, from);
    const granted = m.term > view.term && isOpen && reaches(standing, view.standing);
    if (granted && m.term === this.#asked && outranks({ id: from, standing }, view)) out.standBy();
    out.send(from, { kind: 'preVoteResponse', term: granted ? m.term : view.term, granted });
  }

  #take(view: ElectorView, out: ElectorOutbox, from: NodeId, m: PreVoteResponse): void {
    if (!m.granted && m.term > view.term) {
      out.higherTerm(m.term);
      return;
    }
    const asked = view.term + 1;
    if (this.#asked !== asked || m.term !== (m.granted ? asked : view.term)) return;
    this.#answers.set(from, m.granted);
    this.#count(view, out);
  }

  #count(view: ElectorView, out: ElectorOutbox): void {
    const outcome = view.quorums.outcome('prepare', this.#answers);
    if (outcome === 'open') return;
    // who would elect us may be fewer than it takes to get anything done
    if (outcome === 'won' && !view.quorums.isQuorum('accept', [...this.#answers.keys()])) return;
    this.#asked = undefined;
    if (outcome === 'won') out.campaign();
    else out.standBy();
  }

  leaderHeard(view: ElectorView): void {
    this.#heardAt = view.now;
    this.restart(view);
  }

  /** A fresh random time, so that rivals rarely collide (§5.2). */
  restart(view: ElectorView): void {
    const { electionTimeoutMinMs: min, electionTimeoutMaxMs: max } = view.timing;
    this.#deadline = view.now + min + nextUniform(this.#random) * (max - min);
    this.#asked = undefined;
    this.#givesWay = false;
    this.#candidate = undefined;
  }

  candidateHeard(view: ElectorView, candidate: NodeId): void {
    this.restart(view);
    this.#candidate = candidate;
    this.#candidateAt = view.now;
  }

  /** Mostly for a rival who was as quick. If it is not known, whose patience ends first now is drawn from a wide range. */
  campaignRefused(view: ElectorView, rival?: Rival): void {
    if (this.#givesWay) return;
    const { electionTimeoutMinMs: min, heartbeatIntervalMs } = view.timing;
    if (rival === undefined) this.#hurry(view, min * (0.25 + 0.5 * nextUniform(this.#random)));
    else if (!outranks(rival, view)) this.#hurry(view, heartbeatIntervalMs);
    else {
      this.restart(view);
      this.#givesWay = true;
    }
  }

  #hurry(view: ElectorView, withinMs: number): void {
    this.#deadline = Math.min(this.#deadline, view.now + withinMs);
  }

  protectsLeader(view: ElectorView): boolean {
    if (view.leading) return true;
    return view.leader !== undefined && view.now - this.#heardAt < view.timing.electionTimeoutMinMs;
  }

  /** From everybody else. */
  #protectsCandidate(view: ElectorView, from: NodeId): boolean {
    if (this.#candidate === undefined || this.#candidate === from) return false;
    return view.now - this.#candidateAt < view.timing.electionTimeoutMinMs;
  }

  clone(): TimeoutElector {
    const copy = new TimeoutElector({ seed: 0, id: 0 as NodeId });
    copy.#random.state = this.#random.state;
    copy.#deadline = this.#deadline;
    copy.#heardAt = this.#heardAt;
    copy.#candidate = this.#candidate;
    copy.#candidateAt = this.#candidateAt;
    copy.#asked = this.#asked;
    copy.#givesWay = this.#givesWay;
    for (const [voter, granted] of this.#answers) copy.#answers.set(voter, granted);
    return copy;
  }
}
