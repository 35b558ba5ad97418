/** How soon a group has another leader when the last one dies, in a world that is slow and in which nodes stand still for moments. */
import { describe, expect, it } from 'vitest';
import { defaultTiming, type ElectorName, type EngineKind } from '../engine.ts';
import { TestNetwork, type Weather } from './test-network.test-support.ts';

const trials = 40;
const slow: Weather = { loss: 0, duplication: 0, delayMs: [0.2, 25], writeMs: [1, 20], crash: 0 };
const pauseMaxMs = 60;
/** The longest patience twice: a vote that was split once may cost the second. */
const boundMs = 2 * defaultTiming.electionTimeoutMaxMs;

export function failoverClaims<M, R>(kind: EngineKind<M, R>): void {
  describe(`${kind.name}: when the leader dies in a slow world`, () => {
    for (const elector of ['timeout', 'ballot'] as const)
      for (const voters of [3, 5])
        it(`one of ${voters} leads within two election time-outs, with the elector ${elector}`, () => {
          const gaps = Array.from({ length: trials }, (_, i) => gapMs(kind, elector, voters, i + 1));
          expect(Math.max(...gaps)).toBeLessThan(boundMs);
        });
  });
}

/** From the death of a leader under load to the election of the next. */
function gapMs<M, R>(kind: EngineKind<M, R>, elector: ElectorName, voters: number, seed: number): number {
  const group = new TestNetwork<M, R>(kind, { seed, voters, elector });
  const leader = group.awaitLeader();
  group.weather = slow;
  const deathAt = group.now() + group.between([200, 500]);
  while (group.now() < deathAt) {
    for (const node of group.leaders) group.propose(node, 2);
    group.run(4);
  }
  leader.crash();
  const diedAt = group.now();
  for (let pauseAt = diedAt; group.leaders.length === 0 && group.now() - diedAt < 10 * boundMs; group.run(2)) {
    if (group.now() < pauseAt) continue;
    group.pausedUntil.set(group.nodes[group.below(voters)]!.id, group.now() + group.below(pauseMaxMs));
    pauseAt = group.now() + group.below(pauseMaxMs);
  }
  return group.now() - diedAt;
}
