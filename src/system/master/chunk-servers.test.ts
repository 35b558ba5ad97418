import { describe, expect, it } from 'vitest';
import { toAddress, toChunkHandle, toServerId } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { type ChunkServer, ChunkServers, type ServerConnection, type ServerEvents } from './chunk-servers.ts';
import { Departures, departuresMax } from './departures.ts';
import { defaultMasterTiming } from './options.ts';

const id = toServerId(1);
const record = { address: toAddress('s1:1'), rack: 'r', draining: false };

function oneServer() {
  const world = testWorld(1);
  const { env } = world.node('m');
  const told: string[] = [];
  const note = (what: string) => (server: ChunkServer) => told.push(`${what} ${server.id}`);
  const events: ServerEvents = { lapsed: note('lapsed'), died: note('died'), came: note('came') };
  const servers = new ChunkServers(env, { ...defaultMasterTiming, deadAfterMs: 3000 }, events);
  return { world, env, servers, told };
}

describe('sessions', () => {
  it('last from the arrival of a heartbeat, then the server is suspect, then dead; a heartbeat brings it back', async () => {
    const { world, env, servers, told } = oneServer();
    const server = servers.add(id, record);
    expect(servers.hasSession(id)).toBe(false);
    servers.renew(server, env.clock.now());
    expect([servers.hasSession(id), servers.isHealthy(server)]).toEqual([true, true]);
    await world.run(990);
    expect(servers.hasSession(id)).toBe(true);
    await world.run(40);
    expect([servers.hasSession(id), server.state]).toEqual([false, 'suspect']);
    await world.run(2000);
    expect(server.state).toBe('dead');
    servers.renew(server, env.clock.now());
    expect(server.state).toBe('healthy');
    expect(told).toEqual(['came 1', 'lapsed 1', 'died 1', 'came 1']);
  });

  it('are waited for by nobody any more when the server is dead', async () => {
    const { world, servers } = oneServer();
    servers.assume(id, record);
    await world.run(1500);
    let isOver = false;
    void servers.changed(id).then(() => (isOver = true));
    await world.run(1000);
    expect(isOver).toBe(false);
    await world.run(1000);
    expect([servers.get(id)!.state, isOver]).toEqual(['dead', true]);
  });

  it('are assumed by a new leader for every server of the log, once', async () => {
    const { world, servers } = oneServer();
    servers.assume(id, record);
    await world.run(990);
    expect(servers.hasSession(id)).toBe(true);
    await world.run(40);
    expect([servers.hasSession(id), servers.mayBeComing(id)]).toEqual([false, true]); // it may be looking for this leader still
    await world.run(950);
    expect(servers.mayBeComing(id)).toBe(true);
    await world.run(50);
    expect(servers.mayBeComing(id)).toBe(false);
  });

  it('count from when the heartbeat came, not from when it was answered', async () => {
    const { world, env, servers } = oneServer();
    const server = servers.add(id, record);
    const receivedAt = env.clock.now();
    await world.run(800);
    servers.renew(server, receivedAt);
    await world.run(230);
    expect(servers.hasSession(id)).toBe(false);
  });

  it('are not given by a heartbeat that cannot be answered, but nobody dies who sends some', async () => {
    const { world, env, servers, told } = oneServer();
    const server = servers.add(id, record);
    servers.renew(server, env.clock.now());
    for (let n = 0; n < 10; n++) {
      await world.run(1000);
      servers.heard(server, env.clock.now());
    }
    expect([servers.hasSession(id), server.state]).toEqual([false, 'suspect']);
    await world.run(3010);
    expect(told).toEqual(['came 1', 'lapsed 1', 'died 1']);
  });

  it('that lapsed while heartbeats could not be answered are not over, until nothing is heard for long', async () => {
    const { world, env, servers } = oneServer();
    const server = servers.add(id, record);
    const seen: boolean[] = [];
    const see = () => seen.push(servers.mayBeComing(id));
    servers.renew(server, env.clock.now());
    await world.run(900);
    servers.heard(server, env.clock.now());
    see(); // it has its session still
    await world.run(200);
    see();
    await world.run(1700);
    see();
    await world.run(200);
    see();
    servers.renew(server, env.clock.now());
    await world.run(1100);
    see(); // it was answered, and was silent since
    expect(seen).toEqual([false, true, true, false, false]);
  });

  it('that lapsed before a heartbeat was answered, or whose answer nobody takes, are not over either', async () => {
    const { world, env, servers } = oneServer();
    const server = servers.add(id, record);
    const receivedAt = env.clock.now();
    servers.heard(server, receivedAt);
    await world.run(1100);
    servers.renew(server, receivedAt);
    expect([servers.hasSession(id), servers.mayBeComing(id)]).toEqual([false, true]);
    server.rpc = { isClosed: true } as unknown as ServerConnection;
    const again = env.clock.now();
    servers.renew(server, again);
    await world.run(1100);
    expect([servers.hasSession(id), servers.mayBeComing(id)]).toEqual([false, true]);
  });

  it('are not given while a change that leaves the server out is on its way into the log', async () => {
    const { world, env, servers } = oneServer();
    const server = servers.add(id, record);
    let committed = () => {};
    const change = servers.excluding([id], () => new Promise<void>((resolve) => (committed = resolve)));
    expect(servers.renew(server, env.clock.now())).toBe(false);
    expect(servers.hasSession(id)).toBe(false);
    committed();
    await world.settle(change);
    expect(servers.renew(server, env.clock.now())).toBe(true);
  });

  it('wake those who wait for a server when it lapses, and when it is heard of', async () => {
    const { world, env, servers } = oneServer();
    const server = servers.add(id, record);
    servers.renew(server, env.clock.now());
    let woken = 0;
    const wait = () => void servers.changed(id).then(() => woken++);
    wait();
    await world.run(500);
    expect(woken).toBe(0);
    await world.run(600);
    expect(woken).toBe(1);
    wait();
    servers.renew(server, env.clock.now());
    await world.run(1);
    expect(woken).toBe(2);
    wait();
    servers.stop();
    await world.run(1);
    expect(woken).toBe(3);
  });
});

describe('servers that left a set', () => {
  const handle = toChunkHandle(5);
  const other = toServerId(2);

  it('may be believed to hold the chunk for a while, others may not', async () => {
    const { world, env } = oneServer();
    const departures = new Departures(env, 7000);
    departures.note(handle, [id, other], [other]);
    expect(departures.mayBeBelieved(handle, id)).toBe(true);
    expect(departures.mayBeBelieved(handle, other)).toBe(false);
    await world.run(7100);
    expect(departures.mayBeBelieved(handle, id)).toBe(false);
  });

  it('are unknown where the state comes from elsewhere: any server may be believed to hold a chunk', async () => {
    const { world, env } = oneServer();
    const departures = new Departures(env, 7000);
    expect(departures.mayBeBelieved(handle, id)).toBe(false);
    departures.beginAnew();
    expect(departures.mayBeBelieved(handle, id)).toBe(true);
    await world.run(7100);
    expect(departures.mayBeBelieved(handle, id)).toBe(false);
  });

  it('are bounded: beyond the bound all chunks wait', async () => {
    const { env } = oneServer();
    const departures = new Departures(env, 7000);
    for (let i = 0; i <= departuresMax; i++) departures.note(toChunkHandle(i + 10), [id], []);
    expect(departures.mayBeBelieved(handle, other)).toBe(true);
  });
});
