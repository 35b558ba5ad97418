import { describe, expect, it } from 'vitest';
import { farBehindEntries } from '../catch-up-pace.ts';
import type { EntryPayload } from '../engine.ts';
import { accept, ballot, chain, index, OneNode, sent } from './one-node.test-support.ts';
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
