/**
 * Ballot leader election (Ng, Haridi, Carbone 2023, "Omni-Paxos", §5.2): nodes ask each other in heartbeat rounds, and only one that hears
 * a quorum seeks leadership, the one with the highest ballot first. It stays away while any of those it hears is content with a leader
 * that hears a quorum itself. Two quorums meet, so as long as there is such a leader, whoever hears a quorum hears of it: a node
 * that has merely lost sight of the leader does not disturb, and a leader that has lost its quorum is replaced by any node that has one.
 *
 * Where only an up-to-date node can be elected, the quorum is one of nodes whose logs reach no further than ours. Where the quorums of the two
 * phases differ, it hears one of each.
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
import type { ElectorMessage, HeartbeatReply } from './messages.ts';

/** Rounds whose replies still count for something. */
const roundsKeptMax = 16;
/** How many rounds a seeker stands back for one of a higher ballot. */
const roundsOfCourtesy = 5;
/** After so many campaigns in a row that came to nothing patience doubles with each, up to a bound. */
const campaignsInVain = 2;
const patienceFactorMax = 8;

/** What a voter said last. */
interface Heard {
  /** When the round began in which it did. */
  readonly at: number;
  readonly reply: HeartbeatReply;
}

export class BallotElector implements Elector {
  readonly name = 'ballot';
  readonly #random: SeededStream;
  #round = 0;
  #nextRoundAt = 0;
  /** When the latest rounds began, oldest first. */
  #begun: { readonly round: number; readonly at: number }[] = [];
  readonly #heard = new Map<NodeId, Heard>();
  /** When a leader was last known to lead and to be quorum-connected. */
  #contentAt = Number.NEGATIVE_INFINITY;
  /** When the leader last spoke as one, in which term, and when it first did in that. */
  #leaderHeardAt = Number.NEGATIVE_INFINITY;
  #leaderTerm = -1;
  #leaderSince = Number.NEGATIVE_INFINITY;
  /** Who has our promise and goes on, and when it was last heard; nobody once our patience has begun anew without it. */
  #candidate: NodeId | undefined;
  #candidateAt = 0;
  /** Before this time we do not seek leadership. */
  #patientUntil = 0;
  /** Rounds since we began to seek; 0 while we do not. */
  #seeking = 0;
  #campaigning = false;
  /** Campaigns of ours since there was a leader. */
  #campaigns = 0;
  /** Until our patience begins anew a rival goes first. */
  #givesWay = false;

  constructor({ seed, id }: Pick<EngineConfig, 'seed' | 'id'>) {
    this.#random = seededStream(seed, id);
  }

  nextTickAt(): Millis {
    return this.#nextRoundAt as Millis;
  }

  tick(view: ElectorView, out: ElectorOutbox): void {
    if (view.leading) checkLeadership(view, out);
    if (view.now < this.#nextRoundAt) return;
    this.#nextRoundAt = view.now + view.timing.heartbeatIntervalMs;
    if (view.leading) {
      this.#stopSeeking();
      this.#campaigns = 0;
    } else this.#judge(view, out);
    if (!view.leading && view.eligible) this.#beginRound(view, out);
  }

  /** What the rounds so far say. */
  #judge(view: ElectorView, out: ElectorOutbox): void {
    const lost = view.now - this.#leaderHeardAt >= view.timing.electionTimeoutMaxMs;
    if (this.#isContent(view)) this.#stopSeeking();
    else if (view.now < this.#patientUntil) return;
    else if (!this.#isElectable(view) || this.#hearsContent(view)) this.#standBack(view, out, lost);
    else this.#seek(view, out);
  }

  #standBack(view: ElectorView, out: ElectorOutbox, lost: boolean): void {
    const sought = this.#seeking > 0 || this.#campaigning;
    this.#stopSeeking();
    if (sought || (lost && view.leader !== undefined)) out.standBy();
  }

  #stopSeeking(): void {
    this.#seeking = 0;
    this.#campaigning = false;
  }

  /** A whole round lies between the first and the second time: by then we know who else seeks. */
  #seek(view: ElectorView, out: ElectorOutbox): void {
    this.#campaigning = false;
    this.#seeking += 1;
    if (this.#seeking === 1) {
      out.canvass();
      out.trace('leadership_sought', { term: view.term + 1 });
    } else if (this.#seeking > roundsOfCourtesy || !this.#hearsHigherBallot(view)) {
      this.#campaigns += 1;
      out.campaign();
      this.#campaigning = !view.leading;
    }
  }

  #beginRound(view: ElectorView, out: ElectorOutbox): void {
    this.#round += 1;
    this.#begun.push({ round: this.#round, at: view.now });
    if (this.#begun.length > roundsKeptMax) this.#begun.shift();
    for (const to of peersOf(view.members, view.id))
      if (isVoter(view.members, to)) out.send(to, { kind: 'heartbeatRequest', round: this.#round });
  }

  receive(view: ElectorView, out: ElectorOutbox, from: NodeId, message: ElectorMessage): void {
    if (message.kind === 'heartbeatRequest') out.send(from, this.#reply(view, from, message.round));
    else if (message.kind === 'heartbeatReply') this.#take(view, from, message);
    // pre-votes of a peer with the other elector are of no use here
  }

  #reply(view: ElectorView, to: NodeId, round: number): ElectorMessage {
    const [standingTerm, standingIndex] = view.standing;
    const quorumConnected = view.leading ? this.#leadsQuorum(view) : this.#isElectable(view);
    return {
      kind: 'heartbeatReply',
      round,
      ballotRound: this.#ballotRound(view),
      leading: view.leading,
      quorumConnected,
      contented: view.leading ? quorumConnected : this.#isContent(view) || this.#hearsCandidateBut(view, to),
      standingTerm,
      standingIndex,
    };
  }

  #take(view: ElectorView, from: NodeId, reply: HeartbeatReply): void {
    const at = this.#begun.find(({ round }) => round === reply.round)?.at;
    if (at === undefined || !isVoter(view.members, from) || at < (this.#heard.get(from)?.at ?? 0)) return;
    this.#heard.set(from, { at, reply });
    const leads = reply.leading && reply.quorumConnected && reply.ballotRound >= view.term;
    if (leads) this.#contentAt = Math.max(this.#contentAt, at);
    else if (from === view.leader && at > this.#leaderSince) this.#contentAt = Number.NEGATIVE_INFINITY;
  }

  /** Of a voter whose reply is not older than patience allows. */
  #fresh(view: ElectorView, voter: NodeId): HeartbeatReply | undefined {
    const heard = this.#heard.get(voter);
    return heard !== undefined && view.now - heard.at < view.timing.electionTimeoutMinMs ? heard.reply : undefined;
  }

  #isElectable(view: ElectorView): boolean {
    if (!mayLead(view)) return false;
    const { standing, quorums, members } = view;
    const heard = (voter: NodeId) => voter === view.id || this.#fresh(view, voter) !== undefined;
    const wouldElect = (voter: NodeId) => {
      const reply = this.#fresh(view, voter);
      return voter === view.id || (reply !== undefined && reaches(standing, standingOf(reply)));
    };
    const voters = [...members.voters, ...(members.votersNext ?? [])];
    return quorums.isQuorum('prepare', voters.filter(wouldElect)) && quorums.isQuorum('accept', voters.filter(heard));
  }

  #leadsQuorum(view: ElectorView): boolean {
    const heardAt = view.quorums.reached('accept', (voter) => (voter === view.id ? view.now : view.heardAt(voter)));
    return view.now - heardAt < view.timing.electionTimeoutMinMs && !view.diskStalled;
  }

  #isContent(view: ElectorView): boolean {
    return view.now - this.#contentAt < view.timing.electionTimeoutMinMs;
  }

  #hearsCandidateBut(view: ElectorView, id: NodeId): boolean {
    if (this.#candidate === undefined || this.#candidate === id) return false;
    return view.now - this.#candidateAt < view.timing.electionTimeoutMinMs;
  }

  #hearsContent(view: ElectorView): boolean {
    return this.#some(view, (reply) => reply.contented);
  }

  #hearsHigherBallot(view: ElectorView): boolean {
    const own = this.#ballotRound(view);
    return this.#some(view, (reply, voter) => {
      if (!reply.quorumConnected) return false;
      return reply.ballotRound > own || (reply.ballotRound === own && voter > view.id);
    });
  }

  #some(view: ElectorView, holds: (reply: HeartbeatReply, voter: NodeId) => boolean): boolean {
    return peersOf(view.members, view.id).some((voter) => {
      const reply = isVoter(view.members, voter) ? this.#fresh(view, voter) : undefined;
      return reply !== undefined && holds(reply, voter);
    });
  }

  #ballotRound(view: ElectorView): number {
    if (view.leading || this.#campaigning) return view.term;
    return this.#seeking > 0 ? view.term + 1 : 0;
  }

  /** One of a term that is new to us gets the time to show that it is quorum-connected. */
  leaderHeard(view: ElectorView): void {
    this.#leaderHeardAt = view.now;
    this.#candidate = undefined;
    this.#campaigns = 0;
    this.#stopSeeking();
    if (view.term === this.#leaderTerm) return;
    this.#leaderTerm = view.term;
    this.#leaderSince = view.now;
    this.#contentAt = view.now;
  }

  /**
   * For a random time, so that rivals who do not hear each other part. Who hears a quorum may still never be elected: it may need promises
   * of voters to come, whom it does not hear. Each of its campaigns keeps others from seeking, so it leaves them more and more time.
   */
  restart(view: ElectorView): void {
    const { electionTimeoutMinMs: min, electionTimeoutMaxMs: max } = view.timing;
    const factor = Math.min(patienceFactorMax, 2 ** Math.max(0, this.#campaigns - campaignsInVain));
    this.#patientUntil = view.now + (min + nextUniform(this.#random) * (max - min)) * factor;
    this.#givesWay = false;
    this.#candidate = undefined;
    this.#stopSeeking();
  }

  candidateHeard(view: ElectorView, candidate: NodeId): void {
    this.restart(view);
    this.#candidate = candidate;
    this.#candidateAt = view.now;
  }

  /** Rivals that have not found each other out in time, by their ballots: one goes on with the next round, as if it had stood back once. */
  campaignRefused(view: ElectorView, rival?: Rival): void {
    if (this.#givesWay) return;
    if (rival === undefined) {
      const soon = view.now + view.timing.electionTimeoutMinMs * (0.25 + 0.5 * nextUniform(this.#random));
      this.#patientUntil = Math.min(this.#patientUntil, soon);
    } else if (outranks(rival, view)) {
      this.restart(view);
      this.#givesWay = true;
    } else {
      this.#patientUntil = view.now;
      this.#seeking = 1;
    }
  }

  protectsLeader(view: ElectorView): boolean {
    return view.leading ? this.#leadsQuorum(view) : this.#isContent(view);
  }

  clone(): BallotElector {
    const copy = new BallotElector({ seed: 0, id: 0 as NodeId });
    copy.#random.state = this.#random.state;
    copy.#round = this.#round;
    copy.#nextRoundAt = this.#nextRoundAt;
    copy.#begun = this.#begun.slice();
    for (const [voter, heard] of this.#heard) copy.#heard.set(voter, heard);
    copy.#contentAt = this.#contentAt;
    copy.#leaderHeardAt = this.#leaderHeardAt;
    copy.#leaderTerm = this.#leaderTerm;
    copy.#leaderSince = this.#leaderSince;
    copy.#candidate = this.#candidate;
    copy.#candidateAt = this.#candidateAt;
    copy.#patientUntil = this.#patientUntil;
    copy.#seeking = this.#seeking;
    copy.#campaigning = this.#campaigning;
    copy.#campaigns = this.#campaigns;
    copy.#givesWay = this.#givesWay;
    return copy;
  }
}

function standingOf({ standingTerm, standingIndex }: HeartbeatReply): Standing {
  return [standingTerm, standingIndex];
}
