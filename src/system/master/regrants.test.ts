import { expect, test } from 'vitest';
import { toAddress, toChunkHandle, toServerId } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { ChunkServers } from './chunk-servers.ts';
import { Gate } from './gate.ts';
import type { LeaderWorld } from './leader-world.ts';
import { defaultMasterTiming } from './options.ts';
import { Regrants } from './regrants.ts';
import type { ChunkRecord } from './state/records.ts';

test('a server whose heartbeat could not be answered is waited for before it is left out', async () => {
  const world = testWorld(1);
  const { env } = world.node('m');
  const servers = new ChunkServers(env, defaultMasterTiming, { lapsed: () => {}, died: () => {}, came: () => {} });
  const [one, two] = [1, 2].map((id) => {
    const record = { address: toAddress(`s${id}:1`), rack: 'r', draining: false };
    return servers.add(toServerId(id), record);
  });
  const chunk = { version: 1, sealed: false, length: 10, servers: [one!.id, two!.id] } as unknown as ChunkRecord;
  const granted: unknown[] = [];
  const leader = {
    ...{ env, servers, timing: defaultMasterTiming },
    tables: { chunk: () => chunk, inode: () => undefined },
    checkLeading: () => {},
    execute: async (command: unknown) => {
      granted.push(command);
      throw new Error('nothing is to be granted');
    },
  } as unknown as LeaderWorld;
  for (const server of [one!, two!]) servers.renew(server, env.clock.now());
  await world.run(900);
  const receivedAt = env.clock.now();
  servers.heard(two!, receivedAt);
  await world.run(200);
  servers.renew(one!, env.clock.now());
  let isLookedAtAgain = false;
  const regrants = new Regrants(leader, new Gate());
  const asked = regrants.regrant(toChunkHandle(5), chunk, [], env.clock.now() + 500).then((outcome) => {
    isLookedAtAgain = outcome === undefined;
  });
  await world.run(100);
  expect(isLookedAtAgain).toBe(false);
  servers.renew(two!, receivedAt + 250);
  await world.settle(asked);
  expect([isLookedAtAgain, servers.hasSession(two!.id), granted]).toEqual([true, true, []]);
});
