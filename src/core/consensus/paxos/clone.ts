/** A state that goes its own way from here on: simulators and visualisers fork and rewind. */
import { cloneDurability } from '../durability.ts';
import { withView } from './elector-view.ts';
import { clonePhaseOne } from './phase-one.ts';
import { cloneProgress } from './progress.ts';
import { cloneQuorumReads } from './read-round.ts';
import type { Campaign, Leading, PaxosState } from './state.ts';

export function cloneState(s: PaxosState): PaxosState {
  return withView({
    ...s,
    log: s.log.clone(),
    elector: s.elector.clone(),
    durability: cloneDurability(s.durability),
    following: s.following === undefined ? undefined : { ...s.following },
    campaign: s.campaign === undefined ? undefined : cloneCampaign(s.campaign),
    leading: s.leading === undefined ? undefined : cloneLeading(s.leading),
    learning: s.learning === undefined ? undefined : { ...s.learning },
    streaming: new Set(s.streaming),
    quorumReads: cloneQuorumReads(s.quorumReads),
  });
}

function cloneCampaign(c: Campaign): Campaign {
  return { ...c, phase: clonePhaseOne(c.phase), refusals: new Map(c.refusals) };
}

function cloneLeading(l: Leading): Leading {
  const progress = new Map([...l.progress].map(([id, p]) => [id, cloneProgress(p)] as const));
  return {
    ...l,
    phase: clonePhaseOne(l.phase),
    progress,
    departing: new Map(l.departing),
    change: l.change === undefined ? undefined : { ...l.change, catchingUp: new Map(l.change.catchingUp) },
    proposed: l.proposed.map((values) => ({ ...values })),
    waiting: l.waiting.slice(),
    waitingReads: l.waitingReads.slice(),
  };
}
