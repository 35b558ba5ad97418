/**
 * A state that goes its own way from here on: simulators and visualisers fork and rewind.
 *
 * Each field is copied by its name, in the order in which it is made elsewhere: a copy by spreading is an object of another shape to the
 * machine, and code that meets many shapes of one thing runs at half its speed.
 */
import { cloneDurability } from '../durability.ts';
import { withView } from './elector-view.ts';
import { cloneProgress } from './progress.ts';
import type { Leading, RaftState } from './state.ts';

export function cloneState(s: RaftState): RaftState {
  return withView({
    config: s.config,
    id: s.id,
    currentTerm: s.currentTerm,
    votedFor: s.votedFor,
    log: s.log.clone(),
    commitIndex: s.commitIndex,
    appliedIndex: s.appliedIndex,
    role: s.role,
    leader: s.leader,
    now: s.now,
    elector: s.elector.clone(),
    durability: cloneDurability(s.durability),
    votes: new Map(s.votes),
    leading: s.leading === undefined ? undefined : cloneLeading(s.leading),
    streaming: new Set(s.streaming),
    othersLeaseUntil: s.othersLeaseUntil,
    noLeaseBefore: s.noLeaseBefore,
    transfer: s.transfer,
    unrecorded: s.unrecorded,
  });
}

function cloneLeading(l: Leading): Leading {
  return {
    termStart: l.termStart,
    established: l.established,
    progress: new Map([...l.progress].map(([id, p]) => [id, cloneProgress(p)] as const)),
    departing: new Map(l.departing),
    change: l.change && { ...l.change, catchingUp: new Map(l.change.catchingUp) },
    membersSettled: l.membersSettled,
    nextHeartbeatAt: l.nextHeartbeatAt,
    resumeAt: l.resumeAt,
    announceAt: l.announceAt,
    uncommittedBytes: l.uncommittedBytes,
    appended: l.appended.map(({ upTo, at }) => ({ upTo, at })),
    leaseFrom: l.leaseFrom,
    leaseGivenUp: l.leaseGivenUp,
    round: l.round,
    roundIndex: l.roundIndex,
    roundReads: l.roundReads,
    waitingReads: l.waitingReads.slice(),
  };
}
