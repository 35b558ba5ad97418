import { expect, it } from 'vitest';
import { TestNetwork } from '../testing/test-network.test-support.ts';
import { MultiPaxos } from './multi-paxos.ts';

/**
 * One of two followers hears that a value is chosen, and nothing more; the other only votes for it. The leader is gone for a moment, and with it
 * or the latter, who proposes the value again, somebody leads. It is cut off then, and who has had the value for long is elected, commits
 * another, and must not do so as long as the one that is cut off serves reads alone: reads of the network look for that.
 */
function inherit(seed: number): { wasInherited: boolean; wasOvertaken: boolean } {
  const group = new TestNetwork(MultiPaxos, { seed, voters: 3, lease: { durationMs: 290, driftMax: 0.001 } });
  const first = group.awaitLeader();
  group.propose(first);
  group.runUntil('everybody is level', () => group.converged);
  const [told, votes] = group.nodes.filter((node) => node !== first);
  const { lastIndex } = first.engine!.status;
  group.propose(first);
  group.runUntil('it is voted for', () => votes!.engine!.status.lastIndex > lastIndex);
  group.cut.add(`${first.id}>${votes!.id}`);
  group.runUntil('it is delivered', () => first.applied > lastIndex && told!.applied > lastIndex);
  first.crash();
  group.cut.clear();
  group.partition(told!.id);
  group.run(20);
  first.start();
  const rest = [first, votes!];
  const heir = () => rest.find(({ engine }) => engine!.status.role === 'leader');
  group.runUntil('somebody leads', () => heir() !== undefined);
  const wasInherited = heir()!.applied <= lastIndex;
  group.run(5);
  const old = heir();
  if (old === undefined) return { wasInherited, wasOvertaken: false };
  group.cut.clear();
  group.partition(old.id);
  const before = group.checker.highestCommitted;
  let wasOvertaken = false;
  for (let ms = 0; ms < 600; ms++) {
    group.run(1);
    if (told!.engine!.status.role !== 'leader') continue;
    if (told!.engine!.status.lastIndex === told!.applied) group.propose(told!);
    wasOvertaken ||= group.checker.highestCommitted > before + 1 && old.engine!.status.role === 'leader';
    group.read(old, 'lease');
  }
  return { wasInherited, wasOvertaken };
}

it('a lease does not come with a value of an earlier ballot: who leads next may have had that for longer', () => {
  const runs = Array.from({ length: 60 }, (_, i) => inherit(i + 1));
  expect(runs.some(({ wasInherited }) => wasInherited)).toBe(true);
  expect(runs.some(({ wasOvertaken }) => wasOvertaken)).toBe(true);
});
