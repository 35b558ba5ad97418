/**
 * Who decides in which slot ("The Part-Time Parliament", §3.3.5 of the 1998 paper: the α-window). A configuration that is chosen in slot i
 * decides from slot i + α on, so who proposes no further than α slots beyond what it has delivered always knows who decides.
 *
 * A change of voters takes two entries: one that names the voters and those to come (`votersNext`), and, in a slot that the new ones
 * decide, one that names these alone. Who knows of the first only by a snapshot, and so not in which slot it was chosen, asks both.
 */
import type { EngineConfig, LogIndex, Members } from '../engine.ts';
import { jointQuorums, type QuorumSystem, quorumSystemOf } from '../quorums.ts';

type Terms = Pick<EngineConfig, 'quorums' | 'windowSlots'>;

/** α: how many slots may be under way beyond what is delivered. */
export function windowOf({ windowSlots = 256 }: Terms): number {
  return windowSlots;
}

export interface Configuration {
  readonly current: QuorumSystem;
  /** A change that is chosen: its quorums decide from slot `nextFrom` on. */
  readonly next: QuorumSystem | undefined;
  readonly nextFrom: LogIndex;
  /** Quorums of all those who may decide in a slot of the window. */
  readonly electorate: QuorumSystem;
}

/** As a snapshot point, or the bootstrap configuration, says it. */
export function configurationAt(index: LogIndex, members: Members, terms: Terms): Configuration {
  const { votersNext, nonVoters } = members;
  const current = quorumSystemOf(members, terms.quorums);
  if (votersNext === undefined) return settled(current);
  const next = quorumSystemOf({ voters: votersNext, nonVoters }, terms.quorums);
  return { current, next, nextFrom: (index + windowOf(terms)) as LogIndex, electorate: current };
}

/** After `members` were chosen in `slot`. */
export function configurationAfter(slot: LogIndex, members: Members, terms: Terms): Configuration {
  const { voters, votersNext, nonVoters } = members;
  if (votersNext === undefined) return settled(quorumSystemOf(members, terms.quorums));
  const current = quorumSystemOf({ voters, nonVoters }, terms.quorums);
  const next = quorumSystemOf({ voters: votersNext, nonVoters }, terms.quorums);
  return { current, next, nextFrom: (slot + windowOf(terms)) as LogIndex, electorate: jointQuorums(current, next) };
}

function settled(current: QuorumSystem): Configuration {
  return { current, next: undefined, nextFrom: 0 as LogIndex, electorate: current };
}

export function quorumsAt({ current, next, nextFrom }: Configuration, slot: number): QuorumSystem {
  return next !== undefined && slot >= nextFrom ? next : current;
}
