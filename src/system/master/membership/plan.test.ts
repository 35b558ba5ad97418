import { describe, expect, it } from 'vitest';
import { toNodeId } from '../../../core/base/brand.ts';
import type { Members } from '../../rsm/replica.ts';
import { nextStep, type PlanView } from './plan.ts';

const nodes = (...ids: number[]) => ids.map(toNodeId);

interface Given {
  readonly voters: number[];
  readonly nonVoters?: number[];
  readonly wanted: number[];
  readonly self?: number;
  readonly behind?: number[];
  readonly down?: number[];
  readonly failed?: number[];
}

function step({ voters, nonVoters = [], wanted, self = 1, behind = [], down = [], failed = [] }: Given) {
  const members: Members = { voters: nodes(...voters), nonVoters: nodes(...nonVoters) };
  const view: PlanView = {
    members,
    wanted: new Set(nodes(...wanted)),
    self: toNodeId(self),
    hasCaughtUp: (node) => !behind.includes(node),
    isReachable: (node) => !down.includes(node),
    failedAt: (node) => failed.indexOf(node) + 1,
  };
  return nextStep(view);
}

const change = (voters: number[], nonVoters: number[] = []) => ({ kind: 'change', members: { voters, nonVoters } });

describe('the next step of a group towards its roster', () => {
  it('is none when they are in line', () => {
    expect(step({ voters: [1, 2, 3], wanted: [1, 2, 3] })).toEqual({ kind: 'inLine' });
  });

  it('has those vote first who have not failed to before, or the longest ago', () => {
    const listening = { voters: [1, 2, 3], nonVoters: [4, 5], wanted: [1, 2, 3, 4, 5] };
    expect(step(listening)).toEqual(change([1, 2, 3, 4], [5]));
    expect(step({ ...listening, failed: [4] })).toEqual(change([1, 2, 3, 5], [4]));
    expect(step({ ...listening, failed: [4, 5] })).toEqual(change([1, 2, 3, 4], [5]));
  });

  it('takes a new member in to listen, then to vote once it has caught up', () => {
    expect(step({ voters: [1, 2, 3], wanted: [1, 2, 3, 4] })).toEqual(change([1, 2, 3], [4]));
    const listening = { voters: [1, 2, 3], nonVoters: [4], wanted: [1, 2, 3, 4] };
    expect(step({ ...listening, behind: [4] })).toMatchObject({ kind: 'wait' });
    expect(step({ ...listening, down: [4] })).toMatchObject({ kind: 'wait' });
    expect(step(listening)).toEqual(change([1, 2, 3, 4]));
  });

  it('takes out who does not belong, voter or not', () => {
    expect(step({ voters: [1, 2, 3], wanted: [1, 2] })).toEqual(change([1, 2]));
    expect(step({ voters: [1, 2, 3], nonVoters: [4], wanted: [1, 2, 3] })).toEqual(change([1, 2, 3]));
  });

  it('replaces an incarnation in one change: the old one leaves, the new one listens', () => {
    const replaced = { voters: [1, 2, 3], wanted: [1, 3, 65_538], down: [2] };
    expect(step(replaced)).toEqual(change([1, 3], [65_538]));
  });

  it('changes nothing to a group that could not decide', () => {
    expect(step({ voters: [1, 2, 3], wanted: [1, 2], down: [2] })).toMatchObject({ kind: 'wait' });
    expect(step({ voters: [1, 2, 3, 4, 5], wanted: [1, 2, 3, 4], down: [2, 3] })).toMatchObject({ kind: 'wait' });
  });

  it('hands leadership over first when the leader itself is to leave', () => {
    const leaving = { voters: [1, 2, 3], wanted: [2, 3] };
    expect(step(leaving)).toEqual({ kind: 'handOver', to: 2 });
    expect(step({ ...leaving, down: [2] })).toEqual({ kind: 'handOver', to: 3 });
    expect(step({ ...leaving, down: [2], behind: [3] })).toMatchObject({ kind: 'wait' });
  });

  it('waits for a change that is under way', () => {
    const members: Members = { voters: nodes(1, 2, 3), votersNext: nodes(1, 2), nonVoters: [] };
    const view: PlanView = {
      ...{ members, wanted: new Set(nodes(1, 2)), self: toNodeId(1) },
      ...{ hasCaughtUp: () => true, isReachable: () => true, failedAt: () => 0 },
    };
    expect(nextStep(view)).toMatchObject({ kind: 'wait' });
  });
});
