import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { farBehindEntries } from '../catch-up-pace.ts';
import { defaultTiming, type EntryPayload } from '../engine.ts';
import { accept, ballot, chain, index, members, OneNode, sent } from './one-node.test-support.ts';
import type { PaxosEffects } from './outbox.ts';

const own = ballot(1, 1);
const far = 10 * farBehindEntries;
const asked = (effects: PaxosEffects) => sent(effects, 'learn').map(({ to, message }) => [to, message.first]);

/** Node 1 leads, and `peer` is asked for all that is chosen. */
function learnerOf(id: number, peer: number, chosen = far): OneNode {
  const learner = new OneNode({ id, voters: 2, nonVoters: [4] });
  expect(asked(learner.receive(1, accept(own, [], { first: chosen + 1, chosen })))).toEqual([[peer, 1]]);
  return learner;
}

/** Five values for it, 2 ms after it has asked, and so many chosen meanwhile. */
function answer(learner: OneNode, from: number, { bytes = 20_000, chosen = far + 2 } = {}): PaxosEffects {
  const payload: EntryPayload = { kind: 'proposal', session: 1, sequence: 1, data: new Uint8Array(bytes) };
  const entries = chain(1, 0, [1, payload], [1, payload], [1, payload], [1, payload], [1, payload]);
  learner.receive(1, accept(own, [], { first: chosen + 1, chosen }));
  learner.now += 2;
  return learner.receive(from, { kind: 'chosen', first: index(1), firstRetained: index(1), entries });
}

describe('who is far behind what is chosen', () => {
  it.each([
    ['a listener', 4, 2],
    ['a voter', 2, 4],
  ])('rests after an answer, six times as long as it took, and asks the same peer on: %s', (_, id, peer) => {
    const learner = learnerOf(id, peer);
    expect(asked(answer(learner, peer))).toEqual([]);
    expect(asked(learner.tick(11))).toEqual([]);
    expect(asked(learner.tick(1))).toEqual([[peer, 6]]);
  });

  it.each<[string, Parameters<typeof answer>[2]]>([
    ['nothing is chosen meanwhile: somebody may wait for it', { chosen: far }],
    ['more than half of what the answer brought is chosen meanwhile: it would fall behind', { chosen: far + 3 }],
    ['the answer is small', { bytes: 1 }],
  ])('asks on at once when %s', (_, what) => {
    expect(asked(answer(learnerOf(4, 2), 2, what))).toEqual([[2, 6]]);
  });

  it('asks on at once when it is not far behind any more', () => {
    const learner = learnerOf(4, 2, farBehindEntries + 3);
    const effects = answer(learner, 2, { chosen: farBehindEntries + 5 });
    expect(asked(effects).map(([, first]) => first)).toEqual([6]);
  });
});

describe('while a state arrives', () => {
  const { electionTimeoutMaxMs } = defaultTiming;

  /** Node 2 was asked and sends its state. */
  function receiver(): OneNode {
    const learner = learnerOf(4, 2);
    learner.receive(2, { kind: 'chosen', first: index(1), firstRetained: index(500), entries: [] });
    expect(asked(arriving(learner, true))).toEqual([]);
    return learner;
  }

  function arriving(learner: OneNode, is: boolean): PaxosEffects {
    return learner.input({ kind: 'snapshotArriving', arriving: is, now: toMillis(learner.now) });
  }

  const heartbeat = (learner: OneNode, of = own) =>
    learner.receive(of.node, accept(of, [], { first: far + 1, chosen: far }));

  it('asks nobody else for one', () => {
    const learner = receiver();
    expect([learner.tick(2 * electionTimeoutMaxMs), heartbeat(learner)].flatMap(asked)).toEqual([]);
  });

  it('asks on when it is in place, and when it was given up', () => {
    const learner = receiver();
    expect(asked(arriving(learner, false))).toEqual([[2, 1]]);
    arriving(learner, true);
    const at = { index: index(600), term: 1, checksum: 7, members: members([1, 2], [4]) };
    expect(asked(learner.input({ kind: 'snapshotInstalled', at, now: toMillis(learner.now) }))).toEqual([[2, 601]]);
  });

  it('asks again when another leads: whoever sent it may be gone', () => {
    expect(asked(heartbeat(receiver(), ballot(2, 2)))).toEqual([[1, 1]]);
  });
});
