/** What is done to a group's leader, and how it is undone. */
import type { Group } from '../groups/group.ts';
import type { Mesh } from '../network/mesh.ts';
import { labHost } from '../network/mesh.ts';
import { monotonicMs } from '../process/monotonic.ts';

export interface Fault {
  readonly name: string;
  readonly needsMesh: boolean;
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

/** A follower is stopped for so long, so that its log falls behind before the leader dies. */
const lagMs = 700;

export function hostOf(member: number): string {
  return `m${member + 1}`;
}

function followerOf({ group, leader }: FaultAt): number {
  return (leader + 1) % group.members.length;
}

function timed(act: () => void): number {
  const now = monotonicMs();
  act();
  return now;
}

const kill: Fault = {
  name: 'SIGKILL',
  needsMesh: false,
  strike: ({ group, leader }) => timed(() => group.members[leader]!.process.signal('SIGKILL')),
  mend: ({ group, leader }) => group.members[leader]!.restart(),
};

const killWithOneBehind: Fault = {
  ...kill,
  name: 'SIGKILL, one log behind',
  prepare: async (at) => {
    at.group.members[followerOf(at)]!.process.signal('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, lagMs));
  },
  strike: (at) => {
    const struck = kill.strike(at);
    at.group.members[followerOf(at)]!.process.signal('SIGCONT');
    return struck;
  },
};

const stop: Fault = {
  name: 'SIGSTOP',
  needsMesh: false,
  strike: ({ group, leader }) => timed(() => group.members[leader]!.process.signal('SIGSTOP')),
  mend: async ({ group, leader }) => group.members[leader]!.process.signal('SIGCONT'),
};

const partition: Fault = {
  name: 'partition',
  needsMesh: true,
  strike: ({ group, leader, mesh }) => {
    const others = group.members.map((_, i) => hostOf(i)).filter((_, i) => i !== leader);
    return timed(() => mesh!.isolate(hostOf(leader), [...others, labHost]));
  },
  mend: async ({ mesh }) => mesh!.heal(),
};

export const faults: readonly Fault[] = [kill, stop, partition, killWithOneBehind];
