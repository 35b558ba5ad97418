/** Where a proposer with a quorum of promises begins to propose. */
import { restartAt } from '../durability.ts';
import type { LogIndex } from '../engine.ts';
import { establish } from './learner.ts';
import type { Outbox } from './outbox.ts';
import { proposeWaiting } from './proposals.ts';
import type { Leading, PaxosState } from './state.ts';

/**
 * Begins phase 2 once everything is here that is known to be chosen: whoever proposes must know who decides in the slot, and what
 * precedes it. Nothing is proposed in slots that others call chosen, whether they can still show the value or not.
 */
export function beginPhaseTwo(s: PaxosState, leading: Leading, out: Outbox): void {
  const { phase } = leading;
  if (leading.start !== undefined || s.log.chosenIndex < phase.knownChosen) return;
  const start = s.log.firstUnchosen;
  leading.start = start;
  leading.nextSlot = start;
  leading.lastChecksum = s.log.chosenChecksum;
  leading.firstOwn = Math.max(start, phase.adoptedTo + 1) as LogIndex;
  for (const slot of phase.adopted.keys()) if (slot < start) phase.adopted.delete(slot);
  restartAt(s.durability, s.log.chosenIndex);
  for (const p of leading.progress.values()) {
    p.nextSlot = start;
    p.matchIndex = s.log.chosenIndex;
  }
  out.trace('phase_two_begun', { round: leading.ballot.round, start, adoptedTo: phase.adoptedTo });
  establish(s, leading, out);
  proposeWaiting(s, leading, out);
}
