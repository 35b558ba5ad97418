/** Phase 1a: asking one acceptor for its promise, or for the next page of it. Leaves once our own promise is durable. */
import type { NodeId } from '../../base/brand.ts';
import type { LogIndex } from '../engine.ts';
import type { Outbox } from './outbox.ts';
import type { PhaseOne } from './phase-one.ts';
import type { PaxosState } from './state.ts';

/** `transfer`: the leader itself has asked us to take over. */
export function prepare(s: PaxosState, out: Outbox, to: NodeId, phase: PhaseOne, transfer: boolean): void {
  const first = phase.asked.get(to)!;
  out.sendAfter(s.durability.termIo, to, { kind: 'prepare', ballot: phase.ballot, first, transfer });
}

/** Who has told all its votes is asked for those beyond all slots: that begins its patience anew, and costs nothing. */
export function askForPatience(s: PaxosState, out: Outbox, to: NodeId, phase: PhaseOne, transfer: boolean): void {
  const first = Number.MAX_SAFE_INTEGER as LogIndex;
  out.sendAfter(s.durability.termIo, to, { kind: 'prepare', ballot: phase.ballot, first, transfer });
}
