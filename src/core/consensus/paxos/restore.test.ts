import { describe, expect, it } from 'vitest';
import { CairnError } from '../../base/errors.ts';
import type { SnapshotPoint } from '../engine.ts';
import { accept, ballot, chain, index, members, OneNode, sent, value } from './one-node.test-support.ts';
import type { PaxosRecord } from './records.ts';

const entries = chain(1, 0, [1, value(1)], [1, value(2)], [1, value(3)]);
const voted = (slots: readonly number[], round = 1): PaxosRecord[] =>
  slots.map((slot) => ({ kind: 'accepted', ballot: ballot(round, 2), entry: entries[slot - 1]! }));
const pointAt = (slot: number): SnapshotPoint => {
  const { term, checksum } = entries[slot - 1]!;
  return { index: index(slot), term, checksum, members: members([1, 2, 3]) };
};
const prepare = { kind: 'prepare', ballot: ballot(9, 3), first: index(1), transfer: false } as const;

/** What it tells in a promise: slot and round of the ballot of each vote. */
function votesOf(acceptor: OneNode): { chosen: number; votes: string[] } {
  acceptor.tick(1000);
  acceptor.receive(3, prepare);
  const told = acceptor.persist().released.find(({ kind }) => kind === 'promise');
  if (told?.kind !== 'promise') throw new Error('no promise');
  return { chosen: told.chosenIndex, votes: told.votes.map((vote) => `${vote.entry.index} in ${vote.ballot.round}`) };
}

describe('after a restart, a node', () => {
  it('has its promise and its votes (an acceptor never forgets: Paxos Made Simple §2.2)', () => {
    const acceptor = new OneNode({ records: [{ kind: 'promise', ballot: ballot(7, 2) }, ...voted([1, 2])] });
    expect(sent(acceptor.receive(3, { ...prepare, ballot: ballot(6, 3) }), 'rejected')).toHaveLength(1);
    expect(votesOf(acceptor)).toEqual({ chosen: 0, votes: ['1 in 1', '2 in 1'] });
  });

  it('has the promise that a vote implies', () => {
    const acceptor = new OneNode({ records: voted([1], 8) });
    expect(sent(acceptor.receive(3, { ...prepare, ballot: ballot(7, 3) }), 'rejected')).toHaveLength(1);
  });

  it('keeps votes behind a gap', () => {
    expect(votesOf(new OneNode({ records: voted([1, 3]) }))).toEqual({ chosen: 0, votes: ['1 in 1', '3 in 1'] });
  });

  it('delivers at once what its log calls chosen, and asks nobody for it', () => {
    const learner = new OneNode({ records: [...voted([1, 2, 3]), { kind: 'chosen', index: index(2) }] });
    expect(learner.status.commitIndex).toBe(0);
    expect(learner.tick(0).committed).toEqual(entries.slice(0, 2));
    expect(votesOf(learner)).toEqual({ chosen: 2, votes: ['3 in 1'] });
  });

  it('does not take a vote for what its state machine has applied, unless the hash chain leads to it', () => {
    const other = chain(1, 0, [3, value(9)]);
    const applied: SnapshotPoint = { ...pointAt(1), term: 3, checksum: other[0]!.checksum };
    const learner = new OneNode({ records: voted([1]), applied });
    expect([learner.status.firstIndex, learner.status.commitIndex]).toEqual([2, 1]);
    const written = learner.receive(2, accept(ballot(3, 2), [])).persist?.records;
    expect(written?.[0]).toEqual({ kind: 'snapshotPoint', point: applied });
  });

  it('takes the applied point for proven where the chain leads to it', () => {
    const learner = new OneNode({ records: voted([1, 2, 3]), applied: pointAt(2) });
    expect([learner.status.firstIndex, learner.status.commitIndex]).toEqual([1, 2]);
  });

  it('keeps votes after a snapshot that overtook its log', () => {
    const records: PaxosRecord[] = [...voted([3]), { kind: 'snapshotPoint', point: pointAt(2) }];
    expect(votesOf(new OneNode({ records, applied: pointAt(2) }))).toEqual({ chosen: 2, votes: ['3 in 1'] });
  });

  it('reads what was learned as chosen', () => {
    const records: PaxosRecord[] = entries.map((entry) => ({ kind: 'learned', entry }));
    expect(new OneNode({ records }).tick(0).committed).toEqual(entries);
  });

  it('finds the same from its baseline and the votes that were kept', () => {
    const before = new OneNode();
    const last = entries[2]!.checksum;
    before.receive(2, accept(ballot(1, 2), entries, { first: 1, chosen: 2, chosenChecksum: entries[1]!.checksum }));
    before.persist();
    before.input({ kind: 'compact', index: index(1) });
    const kept = before.written.filter((record) => record.kind === 'accepted' && record.entry.index > 1);
    for (const records of [
      [...before.engine.baseline(), ...kept],
      [...kept, ...before.engine.baseline()],
    ]) {
      const after = before.restart(pointAt(2), records);
      expect([after.status.firstIndex, after.status.commitIndex, after.status.lastIndex]).toEqual([2, 2, 3]);
      expect(votesOf(after)).toEqual({ chosen: 2, votes: ['3 in 1'] });
    }
    expect(last).toBe(entries[2]!.checksum);
  });

  it('finds no hole when its baseline was durable and the votes handed out before it were not', () => {
    const before = new OneNode();
    before.receive(2, accept(ballot(1, 2), entries, { first: 1, chosen: 3, chosenChecksum: entries[2]!.checksum }));
    expect(before.status.commitIndex).toBe(3);
    const after = before.restart(undefined, before.engine.baseline());
    after.tick(0);
    expect(after.status.commitIndex).toBe(0);
  });

  it.each<[string, PaxosRecord[], SnapshotPoint | undefined]>([
    ['a chosen slot is missing', [...voted([1, 3]), { kind: 'chosen', index: index(3) }], undefined],
    ['the chain of what is chosen does not hold', [...voted([2]), { kind: 'chosen', index: index(2) }], undefined],
    ['its state is behind its compaction point', [{ kind: 'snapshotPoint', point: pointAt(2) }], pointAt(1)],
  ])('refuses its log when %s', (_, records, applied) => {
    const start = () => new OneNode({ records, ...(applied && { applied }) });
    expect(start).toThrow(CairnError);
    expect(start).toThrow(/restore this node from its peers/);
  });

  it('begins a higher ballot than any that it may have used', () => {
    const proposer = new OneNode();
    const { ballot: own } = proposer.campaign();
    expect(proposer.restart().campaign().ballot.round).toBe(own.round + 1);
  });

  it('goes on from any prefix of a batch that a crash may leave', () => {
    const learner = new OneNode({ records: voted([1]) });
    learner.receive(3, accept(ballot(4, 3), []));
    const chosen = { kind: 'chosen', first: index(1), firstRetained: index(1), entries } as const;
    learner.receive(3, accept(ballot(4, 3), [], { first: 4, chosen: 3, chosenChecksum: entries[2]!.checksum }));
    learner.receive(3, chosen);
    for (let kept = 0; kept <= learner.written.length; kept++) {
      const after = learner.restart(undefined, learner.written.slice(0, kept));
      after.tick(0);
      expect(after.status.commitIndex).toBeLessThanOrEqual(3);
    }
  });
});
