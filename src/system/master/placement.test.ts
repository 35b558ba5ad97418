import { describe, expect, it } from 'vitest';
import { toAddress, toServerId } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { ChunkServers } from './chunk-servers.ts';
import { defaultMasterTiming } from './options.ts';
import { Placement, smallTogetherMax } from './placement.ts';

function fiveServers() {
  const world = testWorld(1);
  const { env } = world.node('m');
  const servers = new ChunkServers(env, defaultMasterTiming, { lapsed: () => {}, died: () => {}, came: () => {} });
  const all = [1, 2, 3, 4, 5].map((id) => {
    const server = servers.add(toServerId(id), { address: toAddress(`s${id}:1`), rack: `r${id}`, draining: false });
    server.freeBytes = 1e9;
    servers.renew(server, env.clock.now());
    return server;
  });
  return { world, all, placement: new Placement(env, servers) };
}

describe('small files of one moment', () => {
  it('go to the same servers in the same order, so many and no more', () => {
    const { placement } = fiveServers();
    const chosen = Array.from({ length: 2 * smallTogetherMax }, () => placement.chooseForSmall(3, 1));
    const [first] = chosen;
    const next = chosen[smallTogetherMax];
    expect(first).toHaveLength(3);
    expect(next).not.toEqual(first);
    for (const [i, servers] of chosen.entries()) expect(servers).toEqual(i < smallTogetherMax ? first : next);
  });

  it('are told apart by time, and by how many replicas they want', async () => {
    const { world, placement } = fiveServers();
    const first = placement.chooseForSmall(3, 1);
    expect(placement.chooseForSmall(2, 1)).toHaveLength(2);
    const again = placement.chooseForSmall(3, 1);
    await world.run(6);
    expect(new Set([first[0], again[0], placement.chooseForSmall(3, 1)[0]]).size).toBeGreaterThan(1);
  });

  it('do not follow others to a server that takes nothing new any more', () => {
    const { all, placement } = fiveServers();
    const first = placement.chooseForSmall(3, 1);
    const left = all.find(({ id }) => id === first[1])!;
    left.isDraining = true;
    expect(placement.chooseForSmall(3, 1)).not.toContain(left.id);
  });

  it('take large ones nowhere along', () => {
    const { placement } = fiveServers();
    const small = placement.chooseForSmall(3, 1);
    const large = placement.chooseForNew(3, 1);
    expect(large.slice(0, 2).every((id) => !small.includes(id))).toBe(true);
    expect(placement.chooseForSmall(3, 1)).toEqual(small);
  });
});

describe('a cluster in which nobody takes new chunks', () => {
  it('says what is the matter with each of its servers', () => {
    const { all, placement } = fiveServers();
    for (const server of all.slice(0, 2)) server.isDraining = true;
    for (const server of all.slice(2)) server.freeBytes = 0;
    expect(() => placement.chooseForNew(3, 1)).toThrow(
      'no chunkserver takes new chunks; of 5 are 2 being drained: `cairn drain ID --undo`, 3 full: free space, or empty the trash',
    );
  });
});
