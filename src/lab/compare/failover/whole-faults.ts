/** Faults that take the leader from everybody. */
import { labHost } from '../network/mesh.ts';
import { type Fault, type FaultAt, hostOf, timed } from './faults.ts';

/** A follower is stopped for so long, so that its log falls behind before the leader dies. */
const lagMs = 700;

function followerOf({ group, leader }: FaultAt): number {
  return (leader + 1) % group.members.length;
}

const kill: Fault = {
  name: 'SIGKILL',
  needsMesh: false,
  members: 3,
  extent: 'whole',
  isQuick: true,
  strike: ({ group, leader }) => timed(() => group.members[leader]!.process.signal('SIGKILL')),
  mend: ({ group, leader }) => group.members[leader]!.restart(),
};

const killWithOneBehind: Fault = {
  ...kill,
  name: 'SIGKILL, one log behind',
  isQuick: false,
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
  ...kill,
  name: 'SIGSTOP',
  strike: ({ group, leader }) => timed(() => group.members[leader]!.process.signal('SIGSTOP')),
  mend: async ({ group, leader }) => group.members[leader]!.process.signal('SIGCONT'),
};

const partition: Fault = {
  ...kill,
  name: 'partition',
  needsMesh: true,
  strike: ({ group, leader, mesh }) => {
    const others = group.members.map((_, i) => hostOf(i)).filter((_, i) => i !== leader);
    return timed(() => mesh!.isolate(hostOf(leader), [...others, labHost]));
  },
  mend: async ({ mesh }) => mesh!.heal(),
};

export const wholeFaults: readonly Fault[] = [kill, stop, partition, killWithOneBehind];
