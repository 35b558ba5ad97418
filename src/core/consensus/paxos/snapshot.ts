/** Compaction: the host keeps and moves the state; here is what it means for the log. */
import { assert } from '../../base/assert.ts';
import type { Input, LogIndex } from '../engine.ts';
import { afterLearning, considerLearning } from './catch-up.ts';
import { configurationAt } from './configuration.ts';
import { noteValuesOfAnybody } from './leases.ts';
import type { PaxosMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { noteStateDelivered } from './reconfiguration.ts';
import { becomeFollower } from './role.ts';
import type { PaxosState } from './state.ts';

type Of<Kind> = Extract<Input<PaxosMessage>, { kind: Kind }>;

/** Slots up to `index` go, as far as they are applied. Who asks for them from now on gets the state. */
export function compact(s: PaxosState, { index }: Of<'compact'>): void {
  s.log.compactTo(Math.min(index, s.appliedIndex) as LogIndex);
}

/** A peer's state is in place of ours. Votes after it stay, and so does the promise. */
export function snapshotInstalled(s: PaxosState, out: Outbox, { at }: Of<'snapshotInstalled'>): void {
  assert(at.index >= s.appliedIndex, 'a snapshot never takes the state back', {
    index: at.index,
    appliedIndex: s.appliedIndex,
  });
  s.appliedIndex = at.index;
  s.stateArriving = false;
  if (at.index > s.log.chosenIndex) {
    noteValuesOfAnybody(s);
    if (s.leading !== undefined) becomeFollower(s, out, undefined, 'others have chosen what it proposes');
    s.log.reset(at);
    s.configuration = configurationAt(at.index, at.members, s.config);
  } else if (at.index > s.log.base.index) s.log.compactTo(at.index);
  out.recordSnapshotPoint();
  out.trace('snapshot_adopted', { index: at.index, heldSlots: s.log.lastIndex - s.log.chosenIndex });
  afterLearning(s, out, 0);
}

/** Somebody sends its state: it would be for nothing if others did so too. Once that is given up, somebody is asked again. */
export function snapshotArriving(s: PaxosState, out: Outbox, { arriving }: Of<'snapshotArriving'>): void {
  s.stateArriving = arriving;
  s.learning = undefined;
  considerLearning(s, out);
}

/** The stream is over; if it did not arrive, the peer asks again. */
export function snapshotSent(s: PaxosState, { to, delivered }: Of<'snapshotSent'>): void {
  s.streaming.delete(to);
  if (delivered && s.leading !== undefined) noteStateDelivered(s.leading, to, s.now);
}
