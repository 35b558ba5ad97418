/**
 * A state that goes its own way from here on: simulators and visualisers fork and rewind.
 *
 * Each field is copied by its name, in the order in which it is made elsewhere: a copy by spreading is an object of another shape to the
 * machine, and code that meets many shapes of one thing runs at half its speed.
 */
import { cloneDurability } from '../durability.ts';
import { withView } from './elector-view.ts';
import { clonePhaseOne } from './phase-one.ts';
import { cloneProgress } from './progress.ts';
import { cloneQuorumReads } from './read-round.ts';
import type { Campaign, Following, Leading, Learning, PaxosState } from './state.ts';

export function cloneState(s: PaxosState): PaxosState {
  return withView({
    config: s.config,
    id: s.id,
    promised: s.promised,
    log: s.log.clone(),
    appliedIndex: s.appliedIndex,
    recoveredIndex: s.recoveredIndex,
    recordedIndex: s.recordedIndex,
    learnedIo: s.learnedIo,
    role: s.role,
    leader: s.leader,
    roundSeen: s.roundSeen,
    now: s.now,
    elector: s.elector.clone(),
    durability: cloneDurability(s.durability),
    configuration: s.configuration,
    following: s.following === undefined ? undefined : cloneFollowing(s.following),
    campaign: s.campaign === undefined ? undefined : cloneCampaign(s.campaign),
    leading: s.leading === undefined ? undefined : cloneLeading(s.leading),
    learning: s.learning === undefined ? undefined : cloneLearning(s.learning),
    stateArriving: s.stateArriving,
    streaming: new Set(s.streaming),
    othersLeaseUntil: s.othersLeaseUntil,
    anybodysLeaseUntil: s.anybodysLeaseUntil,
    quorumReads: cloneQuorumReads(s.quorumReads),
    transfer: s.transfer,
    unrecorded: s.unrecorded,
  });
}

function cloneFollowing(f: Following): Following {
  return {
    ballot: f.ballot,
    chosen: f.chosen,
    chosenAtAnswer: f.chosenAtAnswer,
    streamAt: f.streamAt,
    heldTo: f.heldTo,
    toldMissing: f.toldMissing,
    toldAt: f.toldAt,
  };
}

function cloneLearning({ peer, first, attempt, askedAt, isResting, askAgainAt }: Learning): Learning {
  return { peer, first, attempt, askedAt, isResting, askAgainAt };
}

function cloneCampaign(c: Campaign): Campaign {
  return {
    phase: clonePhaseOne(c.phase),
    transfer: c.transfer,
    leasesEnded: c.leasesEnded,
    refusals: new Map(c.refusals),
    askAgainAt: c.askAgainAt,
    hasAdvanced: c.hasAdvanced,
    giveUpAt: c.giveUpAt,
  };
}

function cloneLeading(l: Leading): Leading {
  return {
    ballot: l.ballot,
    phase: clonePhaseOne(l.phase),
    start: l.start,
    nextSlot: l.nextSlot,
    lastChecksum: l.lastChecksum,
    firstOwn: l.firstOwn,
    established: l.established,
    followed: l.followed,
    departing: new Map(l.departing),
    change: l.change && { ...l.change, catchingUp: new Map(l.change.catchingUp) },
    membersSettled: l.membersSettled,
    membersRound: l.membersRound,
    membersSlot: l.membersSlot,
    progress: new Map([...l.progress].map(([id, p]) => [id, cloneProgress(p)] as const)),
    nextHeartbeatAt: l.nextHeartbeatAt,
    announceAt: l.announceAt,
    unchosenBytes: l.unchosenBytes,
    proposed: l.proposed.map(({ upTo, at }) => ({ upTo, at })),
    leaseFrom: l.leaseFrom,
    leaseGivenUp: l.leaseGivenUp,
    waiting: l.waiting.slice(),
    waitingBytes: l.waitingBytes,
    round: l.round,
    roundIndex: l.roundIndex,
    roundReads: l.roundReads,
    waitingReads: l.waitingReads.slice(),
  };
}
