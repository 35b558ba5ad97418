/** A state that goes its own way from here on: simulators and visualisers fork and rewind. */
import { cloneDurability } from '../durability.ts';
import { withView } from './elector-view.ts';
import { cloneProgress } from './progress.ts';
import type { Leading, RaftState } from './state.ts';

export function cloneState(s: RaftState): RaftState {
  return withView({
    ...s,
    log: s.log.clone(),
    elector: s.elector.clone(),
    durability: cloneDurability(s.durability),
    votes: new Map(s.votes),
    leading: s.leading === undefined ? undefined : cloneLeading(s.leading),
    streaming: new Set(s.streaming),
  });
}

function cloneLeading(l: Leading): Leading {
  const progress = new Map([...l.progress].map(([id, p]) => [id, cloneProgress(p)] as const));
  const appended = l.appended.map((entries) => ({ ...entries }));
  const departing = new Map(l.departing);
  const change = l.change && { ...l.change, catchingUp: new Map(l.change.catchingUp) };
  return { ...l, progress, appended, departing, change, waitingReads: l.waitingReads.slice() };
}
