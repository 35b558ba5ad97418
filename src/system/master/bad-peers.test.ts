/** What a master does about peers that are cut off, that flood it, and that speak out of turn. */
import { describe, expect, it } from 'vitest';
import { toNodeId } from '../../core/base/brand.ts';
import { masterCalls } from '../../core/protocol/master-calls.ts';
import { encodeIntroduction } from '../../core/protocol/membership.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { codeOf, TestMasters } from './cluster.test-support.ts';
import { metadataRules } from './state/metadata-machine.ts';

const engines = ['raft', 'paxos'] as const;

async function start(seed: number, engine: (typeof engines)[number]): Promise<TestMasters> {
  const c = await TestMasters.start(seed, { engine, servers: 0 });
  await c.until('a master leads', () => c.leader !== undefined);
  return c;
}

const make = (c: TestMasters, path: string) => c.create(path, { allocate: false });

describe.each(engines)('a minority under %s that is asked to write', (engine) => {
  it('says for certain that nothing happened where that is so, and that it may have where it may', async () => {
    const c = await start(1, engine);
    await make(c, '/before'); // the client is at the leader
    const leader = c.leader!;
    const others = c.masters.filter((member) => member !== leader).map(({ node }) => node.name);
    const heal = c.world.network.partition([leader.node.name, 'client'], others);
    // The leader takes it, and cannot know what becomes of it.
    expect(await codeOf(make(c, '/perhaps'))).toBe('UNKNOWN_OUTCOME');
    // By now it does not lead any more, and refuses.
    expect(await codeOf(make(c, '/surely-not'))).toBe('NO_QUORUM');
    expect(await codeOf(c.call('stat', { path: '/before' }))).toBe('NO_QUORUM');
    heal();
    await c.until('one leads again', () => c.leader !== undefined);
    expect(await codeOf(c.call('stat', { path: '/before' }))).toBe('ok');
    expect(await codeOf(c.call('stat', { path: '/surely-not' }))).toBe('NOT_FOUND');
    await c.run(5000);
    expect(await codeOf(c.call('stat', { path: '/surely-not' }))).toBe('NOT_FOUND');
    expect(await codeOf(make(c, '/surely-not'))).toBe('ok');
  });
});

describe.each(engines)('a peer under %s that floods', (engine) => {
  const stranger = (address: string, to: number) =>
    encodeIntroduction({
      ...{ clusterId: 'test', id: 9, node: toNodeId(9), directory: 9, instance: 9, configured: [9], founders: [] },
      ...{
        address: address as never,
        terms: `engine ${engine}, elector timeout, lease 0 ms, rules ${metadataRules}`,
        to: toNodeId(to),
      },
    });

  it('without an introduction is not listened to', async () => {
    const c = await start(2, engine);
    const { env } = c.world.node('flooder');
    const links = c.masters.map(({ address }) => RpcConnection.connect(env, address, masterCalls, undefined));
    const body = [new Uint8Array(64 * 1024).fill(0x5a)];
    for (let i = 0; i < 200; i++)
      for (const [n, link] of links.entries())
        link.notify('consensus', { from: toNodeId(((n + 1) % 3) + 1), to: toNodeId(n + 1), epoch: 1 }, body);
    await make(c, '/meanwhile');
    await c.run(1000);
    await make(c, '/after');
    expect(c.eventsNamed('peer_message_malformed')).toEqual([]);
    expect(c.eventsNamed('master_leads').length).toBe(1);
    for (const { failure } of c.masters) expect(failure).toBeUndefined();
  });

  it('with messages that cannot be read is thrown out at the first', async () => {
    const c = await start(3, engine);
    const { env } = c.world.node('flooder');
    const links = c.masters.map(({ address }) => RpcConnection.connect(env, address, masterCalls, undefined));
    await c.world.settle(Promise.all(links.map((link, n) => link.call('introduce', stranger('flooder:1', n + 1)))));
    const body = [new Uint8Array(1024).fill(0xee)];
    for (let i = 0; i < 500; i++)
      for (const [n, link] of links.entries())
        link.notify('consensus', { from: toNodeId(9), to: toNodeId(n + 1), epoch: 1 }, body);
    await make(c, '/meanwhile');
    await c.run(1000);
    expect(links.map(({ isClosed }) => isClosed)).toEqual([true, true, true]);
    expect(c.eventsNamed('peer_message_malformed').length).toBe(3);
    expect(c.eventsNamed('master_leads').length).toBe(1);
    await make(c, '/after');
  });

  it('under the name of another, or of an epoch that is not this one, is not listened to', async () => {
    const c = await start(4, engine);
    const { env } = c.world.node('flooder');
    const links = c.masters.map(({ address }) => RpcConnection.connect(env, address, masterCalls, undefined));
    await c.world.settle(Promise.all(links.map((link, n) => link.call('introduce', stranger('flooder:1', n + 1)))));
    const body = [new Uint8Array(1024).fill(0xee)];
    for (const [n, link] of links.entries()) {
      link.notify('consensus', { from: toNodeId(((n + 1) % 3) + 1), to: toNodeId(n + 1), epoch: 1 }, body);
      link.notify('consensus', { from: toNodeId(9), to: toNodeId(n + 1), epoch: 2 }, body);
      link.notify('consensus', { from: toNodeId(9), to: toNodeId(65_536 + n + 1), epoch: 1 }, body);
    }
    await c.run(500);
    expect(c.eventsNamed('peer_message_malformed')).toEqual([]);
    expect(links.map(({ isClosed }) => isClosed)).toEqual([false, false, false]);
  });
});
