import { describe, expect, it } from 'vitest';
import { type Address, toAddress, toNodeId } from '../../../core/base/brand.ts';
import { nodeIdOf } from '../../../core/base/node-id.ts';
import { encodeIntroduction, type Introduction } from '../../../core/protocol/membership.ts';
import { protocolVersion } from '../../../core/protocol/types.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import type { SimWorld } from '../../../platform/sim/world.ts';
import { codeOf } from '../cluster.test-support.ts';
import { type Caller, Doorkeeper } from './doorkeeper.ts';
import { Self } from './self.ts';

const terms = 'engine raft, elector timeout, lease 0 ms';
const masters = [1, 2, 3].map((id) => ({ id, address: toAddress(`m${id}:1`) }));

interface Door {
  readonly world: SimWorld;
  readonly self: Self;
  readonly door: Doorkeeper<Caller>;
  readonly gone: Set<number>;
}

/** Master 1, which is a member of its group. */
async function doorOf1(): Promise<Door> {
  const world = testWorld(1);
  const { env } = world.node('m1');
  const address: Address = toAddress('m1:1');
  const opened = await world.settle(Self.open({ env, clusterId: 'c', id: 1, address, masters, terms }));
  const { self } = opened;
  await world.settle(self.save({ ...self.record, node: toNodeId(1), opened: true }));
  const gone = new Set<number>();
  const door = new Doorkeeper<Caller>(self, { isGone: (node) => gone.has(node), met: () => {}, admitted: () => {} });
  return { world, self, door, gone };
}

function member(id: number, change: Partial<Introduction> = {}): Introduction {
  return {
    ...{ clusterId: 'c', id, node: toNodeId(id), directory: 100 + id, instance: 1000 + id },
    ...{ address: toAddress(`m${id}:1`), terms, configured: [1, 2, 3], founders: [], to: toNodeId(1) },
    ...change,
  };
}

describe('who may send messages to a master', () => {
  it('is a member under its own name that means this one', async () => {
    const { world, door } = await doorOf1();
    const peer = { isClosed: false };
    expect(await codeOf(world.settle(door.introduce(encodeIntroduction(member(2)), peer)))).toBe('ok');
    expect([door.nodeOf(peer), door.nodeOf({ isClosed: false })]).toEqual([2, undefined]);
    door.closed(peer);
    expect(door.nodeOf(peer)).toBeUndefined();
  });

  it.each<[string, Partial<Introduction>, string]>([
    ['another cluster', { clusterId: 'd' }, 'WRONG_CLUSTER'],
    ['another engine', { terms: 'engine paxos, elector timeout, lease 0 ms' }, 'CONFIG_INVALID'],
    ['our own id', { id: 1, node: toNodeId(1) }, 'DUPLICATE_ID'],
    ['one that takes us for another', { to: nodeIdOf(1, 1) }, 'ABORTED'],
    ['one that was removed', { id: 3, node: toNodeId(3) }, 'NOT_A_MEMBER'],
  ])('is not %s', async (_, change, code) => {
    const { world, door, gone } = await doorOf1();
    gone.add(3);
    const peer = { isClosed: false };
    expect(await codeOf(world.settle(door.introduce(encodeIntroduction(member(2, change)), peer)))).toBe(code);
    expect(door.nodeOf(peer)).toBeUndefined();
  });

  it('is not who speaks another protocol: that is told before all else, whatever else it says', async () => {
    const { world, door } = await doorOf1();
    const rest = Uint8Array.of(1, 2, 3);
    const frame = { protocolVersion: protocolVersion + 1, clusterId: 'c', rest };
    await expect(world.settle(door.introduce(frame, { isClosed: false }))).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringContaining('run the same version on all masters'),
    });
    const malformed = { protocolVersion, clusterId: 'c', rest };
    expect(await codeOf(world.settle(door.introduce(malformed, { isClosed: false })))).toBe('PROTOCOL');
  });

  it('is not this master itself, under an earlier name that the log still has; nor is that a duplicate', async () => {
    const { world, self, door } = await doorOf1();
    await world.settle(self.save({ ...self.record, node: nodeIdOf(1, 1) }));
    const own = encodeIntroduction(self.introduction(toNodeId(1)));
    expect(await codeOf(world.settle(door.introduce(own, { isClosed: false })))).toBe('ABORTED');
  });

  it('is not who is removed, or has gone, while its former process is looked for', async () => {
    const { world, door, gone } = await doorOf1();
    await world.settle(door.introduce(encodeIntroduction(member(2)), { isClosed: false }));
    const again = (instance: number, peer: Caller) => {
      const answer = codeOf(door.introduce(encodeIntroduction(member(2, { instance })), peer));
      return { answer, peer };
    };
    const left = again(7, { isClosed: false });
    (left.peer as { isClosed: boolean }).isClosed = true;
    door.closed(left.peer);
    expect([await world.settle(left.answer), door.nodeOf(left.peer)]).toEqual(['ABORTED', undefined]);
    const removed = again(8, { isClosed: false });
    gone.add(2);
    expect([await world.settle(removed.answer), door.nodeOf(removed.peer)]).toEqual(['NOT_A_MEMBER', undefined]);
  });
});
