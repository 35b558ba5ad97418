import { expect, it } from 'vitest';
import { toNodeId } from '../../../core/base/brand.ts';
import { drawPlan } from './draw-plan.ts';
import { Group } from './group.ts';
import { changeMembers } from './operator.ts';

/** Seven voters, of whom six decide, led by one of them. */
function led(): Group {
  const plan = drawPlan(1, { engine: 'paxos' });
  const group = new Group({ ...plan, voters: 7, quorums: { prepare: 2, accept: 6 }, lease: undefined }, undefined);
  for (const id of group.nodes()) group.node(id).start();
  group.agenda.runUntil(10_000, () => group.leader !== undefined);
  return group;
}

it('an operator asks for no members of whom those with a sound log are no quorum, by the sizes of the group', () => {
  const group = led();
  const damaged = group.bootstrap.voters.find((id) => id !== group.leader?.id)!;
  group.lost.add(damaged);
  changeMembers(group, 'removeLeader', 0);
  expect(group.leader?.membersSought).toEqual([]);
  group.lost.delete(damaged);
  changeMembers(group, 'removeLeader', 0);
  const asked = group.leader?.membersSought.map(({ voters }) => voters.includes(toNodeId(damaged)));
  expect(asked).toEqual([true]);
});
