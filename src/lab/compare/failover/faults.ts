/** What is done to a group's leader, or to the network around it, and how it is undone. */
import type { Group } from '../groups/group.ts';
import type { Mesh } from '../network/mesh.ts';
import { monotonicMs } from '../process/monotonic.ts';

export interface Fault {
  readonly name: string;
  readonly needsMesh: boolean;
  /** Of the group it is done to. */
  readonly members: 3 | 5;
  /**
   * `whole`: the leader is lost to everybody, and the trial ends when writes flow again. `partial`: some links are lost, for a fixed time,
   * and what was acknowledged meanwhile is counted; clients reach every member.
   */
  readonly extent: 'whole' | 'partial';
  /** In a quick run of a group of ours, too. */
  readonly isQuick: boolean;
  /** Before the fault, while writes flow. */
  prepare?(at: FaultAt): Promise<void>;
  /** @returns the moment of the fault, by the machine's clock */
  strike(at: FaultAt): number;
  /** Resolves when the member runs again and can be reached. */
  mend(at: FaultAt): Promise<void>;
}

export interface FaultAt {
  readonly group: Group;
  readonly leader: number;
  readonly mesh: Mesh | undefined;
}

export function hostOf(member: number): string {
  return `m${member + 1}`;
}

export function timed(act: () => void): number {
  const now = monotonicMs();
  act();
  return now;
}
