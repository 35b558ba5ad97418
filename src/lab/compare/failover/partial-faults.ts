/**
 * Partitions in which every member still reaches somebody: the three of Ng et al. (OmniPaxos, EuroSys 2023), in which some electors find no
 * leader or change it again and again, and two one-way ones.
 */
import { monotonicMs } from '../process/monotonic.ts';
import { type Fault, type FaultAt, hostOf } from './faults.ts';

type Link = readonly [from: number, to: number];

/** Less than any election time-out: the member falls behind, and nobody misses anybody yet. */
const lagMs = 100;

/** The one that everybody keeps. */
function hubOf({ group, leader }: FaultAt): number {
  return (leader + 1) % group.members.length;
}

function pairsOf({ group }: FaultAt): Link[] {
  return group.members.flatMap((_, from) => group.members.map((_, to): Link => [from, to])).filter(([a, b]) => a !== b);
}

function partial(
  name: string,
  members: Fault['members'],
  isCut: (link: Link, at: FaultAt) => boolean,
  more: Partial<Fault> = {},
): Fault {
  return {
    name,
    members,
    needsMesh: true,
    extent: 'partial',
    isQuick: false,
    strike: (at) => {
      const struck = monotonicMs();
      at.mesh!.cutAll(
        pairsOf(at)
          .filter((link) => isCut(link, at))
          .map(([from, to]) => [hostOf(from), hostOf(to)]),
      );
      return struck;
    },
    mend: async ({ mesh }) => mesh!.heal(),
    ...more,
  };
}

/** Everybody hears one member only, and that is not the leader: only it can lead. */
const quorumLoss = partial('quorum-loss', 5, ([from, to], at) => from !== hubOf(at) && to !== hubOf(at), {
  isQuick: true,
});

/** The leader hears nobody; of the others only one hears a majority, and its log is behind theirs. */
const constrained = partial(
  'constrained',
  5,
  ([from, to], at) => from === at.leader || to === at.leader || (from !== hubOf(at) && to !== hubOf(at)),
  {
    prepare: async (at) => {
      at.mesh!.cut(hostOf(at.leader), hostOf(hubOf(at)));
      await new Promise((resolve) => setTimeout(resolve, lagMs));
    },
  },
);

/** The leader and one follower lose each other; the third hears both. */
const chained = partial('chained', 3, ([from, to], at) => from !== hubOf(at) && to !== hubOf(at), { isQuick: true });

/** What the leader is sent by members is lost; what it sends arrives. */
const deaf = partial('leader hears nobody', 3, ([, to], at) => to === at.leader);

/** What the leader sends to members is lost; what they send arrives. */
const mute = partial('leader is not heard', 3, ([from], at) => from === at.leader);

export const partialFaults: readonly Fault[] = [quorumLoss, constrained, chained, deaf, mute];
