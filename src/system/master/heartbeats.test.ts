import { expect, test } from 'vitest';
import { type ServerId, toAddress, toChunkHandle, toChunkVersion, toServerId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { LengthReport } from '../../core/protocol/master-calls.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { ChunkServers, type ServerConnection } from './chunk-servers.ts';
import { Heartbeats } from './heartbeats.ts';
import type { Leader } from './leader.ts';
import { LengthReports } from './lengths.ts';
import { defaultMasterTiming } from './options.ts';
import type { Command } from './state/commands.ts';

const handle = toChunkHandle(5);
const [primary, other] = [toServerId(1), toServerId(2)];
const version = toChunkVersion(1);

/** A leader whose log takes as long as the test wants; it has one chunk, and two servers. */
function slowLeader() {
  const world = testWorld(1);
  const { env } = world.node('m');
  const servers = new ChunkServers(env, defaultMasterTiming, { lapsed: () => {}, died: () => {}, came: () => {} });
  const rpc = {} as ServerConnection;
  const connect = (id: ServerId) =>
    Object.assign(servers.add(id, { address: toAddress(`s${id}:1`), rack: 'r', draining: false }), {
      rpc,
      incarnation: 1,
    });
  [primary, other].map(connect);
  const chunk = { version, sealed: false, length: 0, servers: [primary, other] };
  const asked: { readonly command: Command; commit(): void }[] = [];
  const leader = {
    ...{ env, servers, timing: defaultMasterTiming },
    tables: { chunk: () => chunk, counters: { nextHandle: 6 } },
    garbage: { take: () => [] },
    barrier: async () => {},
    checkLeading: () => {},
    execute: (command: Command) =>
      refusal === undefined
        ? new Promise<void>((resolve) => asked.push({ command, commit: resolve }))
        : Promise.reject(refusal),
  };
  let refusal: CairnError | undefined;
  const refuse = (error: CairnError) => (refusal = error);
  const lengths = new LengthReports(leader as unknown as Leader);
  const heartbeats = new Heartbeats({ ...leader, lengths } as unknown as Leader);
  const beat = (server: ServerId, reports: readonly LengthReport[]) =>
    heartbeats.heartbeat(
      {
        ...{ server, incarnation: 1, usedBytes: 0, totalBytes: 0, freeBytes: 0, lagBytes: 0, chunks: 0 },
        ...{ lengths: [...reports], inventory: [], inventoryFrom: 0, inventoryTo: 0, damaged: [] },
      },
      rpc,
    );
  return { world, servers, chunk, asked, beat, refuse };
}

const told = (length: number, release = false): LengthReport => ({ handle, version, length, release });

test('a heartbeat whose lengths cannot be logged is answered all the same, and says so: the session holds', async () => {
  const { world, servers, chunk, asked, beat } = slowLeader();
  for (let n = 0; n < 6; n++) expect((await world.settle(beat(primary, [told(100)]))).hasLengths).toBe(false);
  expect(servers.hasSession(primary)).toBe(true);
  expect((await world.settle(beat(other, [told(7)]))).hasLengths).toBe(true); // it is not the primary: void
  expect(asked.map(({ command }) => command)).toEqual([{ kind: 'recordLengths', reports: [told(100)] }]);
  const last = beat(primary, [told(100)]);
  chunk.length = 100;
  asked[0]!.commit();
  expect((await world.settle(last)).hasLengths).toBe(true);
  expect(asked.length).toBe(1); // nothing that is logged by now is logged again
});

test('what is told while an entry is on its way is the next entry, whoever tells it', async () => {
  const { world, chunk, asked, beat } = slowLeader();
  const first = beat(primary, [told(100)]);
  await world.run(1);
  const second = [told(300), told(200), told(40, true)].map((report) => beat(primary, [report]));
  await world.run(1);
  expect(asked.length).toBe(1);
  chunk.length = 100;
  asked[0]!.commit();
  expect((await world.settle(first)).hasLengths).toBe(true);
  await world.run(1);
  expect(asked[1]?.command).toEqual({ kind: 'recordLengths', reports: [told(40, true)] });
  asked[1]!.commit();
  expect((await world.settle(Promise.all(second))).map(({ hasLengths }) => hasLengths)).toEqual([true, true, true]);
});

test('what is told while another length is on its way counts, also if it is what the table says still', async () => {
  const { world, chunk, asked, beat } = slowLeader();
  chunk.length = 100;
  expect((await world.settle(beat(primary, [told(40)]))).hasLengths).toBe(false);
  const grown = beat(primary, [told(100)]);
  await world.run(1);
  expect(asked.map(({ command }) => command)).toEqual([{ kind: 'recordCuts', cuts: [told(40)] }]);
  chunk.length = 40;
  asked[0]!.commit();
  await world.run(1);
  expect(asked[1]?.command).toEqual({ kind: 'recordLengths', reports: [told(100)] });
  asked[1]!.commit();
  expect((await world.settle(grown)).hasLengths).toBe(true);
});

test('a heartbeat whose lengths are refused, as too many wait, renews the session all the same', async () => {
  const { world, servers, refuse, beat } = slowLeader();
  refuse(new CairnError('BUSY', 'too many commands wait'));
  await world.run(900);
  expect((await world.settle(beat(primary, [told(100)]))).hasLengths).toBe(false);
  await world.run(900);
  expect(servers.hasSession(primary)).toBe(true);
});
