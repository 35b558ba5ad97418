import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toNodeId } from '../base/brand.ts';
import type { Members } from './engine.ts';
import { isVoter, majorityOf, peersOf, quorumReached, quorumSystemOf, sizesFit, voteOutcome } from './quorums.ts';

const ids = (...numbers: number[]) => numbers.map(toNodeId);
const votes = (given: Record<number, boolean>) =>
  new Map(Object.entries(given).map(([id, vote]) => [toNodeId(Number(id)), vote]));

describe('a majority', () => {
  it('is more than half, of even groups too', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(majorityOf)).toEqual([1, 2, 2, 3, 3, 4, 4]);
  });

  it('has reached n exactly when more than half of the voters have', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }), (reached) => {
        const members: Members = { voters: reached.map((_, i) => toNodeId(i + 1)), nonVoters: [] };
        const n = quorumReached(members, (id) => reached[id - 1]!);
        const atLeast = (bound: number) => reached.filter((value) => value >= bound).length * 2 > reached.length;
        expect(atLeast(n)).toBe(true);
        expect(atLeast(n + 1)).toBe(false);
      }),
    );
  });

  it('does not count those without a vote', () => {
    const members: Members = { voters: ids(1, 2, 3), nonVoters: ids(4, 5, 6) };
    expect(quorumReached(members, (id) => (id >= 3 ? 9 : 0))).toBe(0);
    expect(voteOutcome(members, votes({ 1: true, 4: true, 5: true }))).toBe('open');
    expect(isVoter(members, toNodeId(4))).toBe(false);
  });
});

describe('a joint configuration', () => {
  const joint: Members = { voters: ids(1, 2, 3), votersNext: ids(3, 4, 5), nonVoters: ids(6) };

  it('needs a majority of each half (dissertation §4.3; openraft 6c0ccaf3)', () => {
    expect(quorumReached(joint, (id) => (id <= 3 ? 7 : 2))).toBe(2);
    expect(quorumReached(joint, (id) => (id >= 3 ? 7 : 2))).toBe(2);
    expect(quorumReached(joint, (id) => (id >= 2 && id <= 4 ? 7 : 2))).toBe(7);
    expect(voteOutcome(joint, votes({ 1: true, 2: true }))).toBe('open');
    expect(voteOutcome(joint, votes({ 1: true, 2: true, 4: true, 5: true }))).toBe('won');
    expect(voteOutcome(joint, votes({ 2: true, 3: true, 4: true }))).toBe('won');
  });

  it('is lost when either half is', () => {
    expect(voteOutcome(joint, votes({ 4: false, 5: false, 1: true, 2: true, 3: true }))).toBe('lost');
  });

  it('is replicated to everybody in it, each once', () => {
    expect(peersOf(joint, toNodeId(3))).toEqual([1, 2, 4, 5, 6]);
  });
});

describe('a vote', () => {
  const members: Members = { voters: ids(1, 2, 3, 4), nonVoters: [] };
  it('is open until a majority can no longer be missed or reached', () => {
    expect(voteOutcome(members, votes({ 1: true, 2: true }))).toBe('open');
    expect(voteOutcome(members, votes({ 1: true, 2: true, 3: true }))).toBe('won');
    expect(voteOutcome(members, votes({ 1: false }))).toBe('open');
    expect(voteOutcome(members, votes({ 1: false, 2: false }))).toBe('lost');
  });
});

describe('a quorum system (Flexible Paxos §3)', () => {
  const four: Members = { voters: ids(1, 2, 3, 4), nonVoters: ids(5) };
  const sizes = { prepare: 3, accept: 2 };

  it('takes sizes of which any two quorums of the two phases meet, and no others', () => {
    expect(quorumSystemOf(four, sizes).isQuorum('accept', ids(1, 4))).toBe(true);
    expect(() => quorumSystemOf(four, { prepare: 2, accept: 2 })).toThrow(/meet/);
    expect(() => quorumSystemOf(four, { prepare: 5, accept: 1 })).toThrow(/meet/);
    expect(sizesFit(4, { prepare: 4, accept: 1 })).toBe(true);
    expect(sizesFit(4, { prepare: 4, accept: 0 })).toBe(false);
  });

  it('has a common member in every prepare and every accept quorum, whatever sizes it was given', () => {
    const subsets = [...Array(16).keys()].map((bits) => four.voters.filter((_, i) => (bits >> i) & 1));
    for (let prepare = 1; prepare <= 4; prepare++)
      for (let accept = 1; accept <= 4; accept++) {
        if (!sizesFit(4, { prepare, accept })) continue;
        const system = quorumSystemOf(four, { prepare, accept });
        const [first, second] = (['prepare', 'accept'] as const).map((phase) =>
          subsets.filter((nodes) => system.isQuorum(phase, nodes)),
        );
        for (const a of first!) for (const b of second!) expect(a.some((id) => b.includes(id))).toBe(true);
      }
  });

  it('counts voters only, and each phase by its own size', () => {
    const system = quorumSystemOf(four, sizes);
    expect(system.isQuorum('accept', ids(1, 5))).toBe(false);
    expect(system.isQuorum('prepare', ids(1, 2))).toBe(false);
    expect(system.outcome('prepare', votes({ 1: true, 2: true, 3: false, 4: false }))).toBe('lost');
    expect(system.outcome('accept', votes({ 1: true, 2: true }))).toBe('won');
    expect(system.reached('accept', (id) => id * 10)).toBe(30);
    expect(system.reached('prepare', (id) => id * 10)).toBe(20);
  });

  it('asks both halves of a joint configuration', () => {
    const joint: Members = { voters: ids(1, 2, 3), votersNext: ids(3, 4, 5), nonVoters: [] };
    const system = quorumSystemOf(joint);
    expect(system.isQuorum('prepare', ids(1, 2))).toBe(false);
    expect(system.isQuorum('prepare', ids(2, 3, 4))).toBe(true);
    expect(system.reached('accept', (id) => (id <= 3 ? 7 : 2))).toBe(2);
    expect(system.outcome('accept', votes({ 4: false, 5: false }))).toBe('lost');
  });
});
