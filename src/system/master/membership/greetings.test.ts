import { expect, test } from 'vitest';
import { type NodeId, toAddress, toNodeId } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import type { PeerConnection } from '../peers.ts';
import { Greetings } from './greetings.ts';
import type { Leaving } from './leaving.ts';
import { Self } from './self.ts';

const [self, second, third] = [1, 2, 3].map(toNodeId) as [NodeId, NodeId, NodeId];
const at = toAddress('m:7000');
const refusing = {
  call: async () => {
    throw new CairnError('CONFIG_INVALID', 'it has other rules');
  },
} as unknown as PeerConnection;

/** How often master 1 has ended itself after these have refused it. */
async function endsAfter(voters: NodeId[], nonVoters: NodeId[], refusals: NodeId[]): Promise<number> {
  const world = testWorld(1);
  const { env } = world.node('m1');
  const opened = await world.settle(
    Self.open({ env, clusterId: 'c', id: 1, address: at, masters: [{ id: 1, address: at }], terms: '' }),
  );
  await world.settle(opened.self.save({ ...opened.self.record, node: self }));
  let ends = 0;
  const greetings = new Greetings({
    ...{ env, self: opened.self, leaving: { isOver: false } as Leaving, members: () => ({ voters, nonVoters }) },
    addressOf: () => at,
    onFailure: () => {
      ends += 1;
    },
  });
  for (const node of refusals)
    await expect(greetings.greet(node, refusing, at)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  return ends;
}

test('a master ends when all other voters refuse it', async () => {
  expect(await endsAfter([self, second, third], [], [second])).toBe(0);
  expect(await endsAfter([self, second, third], [], [second, third])).toBe(1);
  expect(await endsAfter([second], [self], [second])).toBe(1);
});

test('the only voter goes on, whoever refuses it: it is the group', async () => {
  expect(await endsAfter([self], [second], [second])).toBe(0);
});
