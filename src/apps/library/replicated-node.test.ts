import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fromUtf8, toUtf8 } from '../../core/base/bytes.ts';
import { MultiPaxos, Raft } from '../../core/consensus/index.ts';
import { type Machine, type NodeOptions, ReplicatedNode } from './replicated-node.ts';

const adder: Machine = {
  apply(command, { store }) {
    const sum = Number(fromUtf8(store.get('sum') ?? toUtf8('0'))) + Number(fromUtf8(command));
    store.put('sum', toUtf8(String(sum)));
    return toUtf8(String(sum));
  },
  query: (_, store) => store.get('sum') ?? toUtf8('0'),
};

let dir = '';
let members: Record<number, string> = {};
const nodes = new Map<number, ReplicatedNode>();

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'cairn-node-'));
  members = Object.fromEntries((await freeAddresses(3)).map((address, i) => [i + 1, address]));
});
afterEach(async () => {
  await Promise.all([...nodes.values()].map((node) => node.close()));
  nodes.clear();
  rmSync(dir, { recursive: true });
});

async function start(id: number, options: Partial<NodeOptions> = {}): Promise<ReplicatedNode> {
  const node = await ReplicatedNode.start({
    id,
    members,
    dir: join(dir, String(id)),
    engine: Raft,
    machine: adder,
    ...options,
  });
  nodes.set(id, node);
  return node;
}

async function stop(id: number): Promise<void> {
  await nodes.get(id)!.close();
  nodes.delete(id);
}

const add = async (node: ReplicatedNode, n: number) => Number(fromUtf8(await node.execute(toUtf8(String(n)))));
const sum = async (node: ReplicatedNode, level?: 'stale') => Number(fromUtf8(await node.query(toUtf8(''), level)));

async function freeAddresses(count: number): Promise<string[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports.map((port) => `127.0.0.1:${port}`);
}

describe.each([Raft, MultiPaxos])('a group of three under $name', (engine) => {
  it('takes commands at every member, each once, and answers from any after the leader is gone', async () => {
    for (const id of [1, 2, 3]) await start(id, { engine });
    const all = [...nodes.values()];
    const sums = await Promise.all(Array.from({ length: 300 }, (_, i) => add(all[i % 3]!, 1)));
    expect(new Set(sums).size).toBe(300); // each command saw a state of its own
    expect(Math.max(...sums)).toBe(300);
    const leader = all.find((node) => node.status.role === 'leader')!.status.id;
    await stop(leader);
    for (const node of nodes.values()) expect(await sum(node)).toBe(300);
    const [other] = [...nodes.values()];
    expect(await add(other!, 5)).toBe(305);
    const back = await start(leader, { engine });
    expect(await sum(back)).toBe(305);
  });

  it('says NO_QUORUM within the deadline when too few are up, and answers stale questions meanwhile', async () => {
    const alone = await start(1, { engine, deadlineMs: 400 });
    await expect(add(alone, 1)).rejects.toMatchObject({ code: 'NO_QUORUM' });
    expect(await sum(alone, 'stale')).toBe(0);
    await start(2, { engine });
    expect(await add(nodes.get(2)!, 1)).toBe(1);
  });

  it('keeps what was acknowledged through a stop of all', async () => {
    for (const id of [1, 2, 3]) await start(id, { engine });
    expect(await add(nodes.get(2)!, 7)).toBe(7);
    for (const id of [1, 2, 3]) await stop(id);
    for (const id of [1, 2, 3]) await start(id, { engine });
    expect(await add(nodes.get(3)!, 1)).toBe(8);
  });

  it('refuses a member that applies commands by other rules, and goes on without it', async () => {
    const later: Machine = {
      ...adder,
      rules: 2,
      apply(command, context) {
        if (fromUtf8(command) !== 'double') return adder.apply(command, context);
        return adder.apply(context.store.get('sum') ?? toUtf8('0'), context);
      },
    };
    for (const id of [1, 2]) await start(id, { engine });
    await add(nodes.get(1)!, 3);
    const failed = new Promise((resolve) => void start(3, { engine, machine: later, onFailure: resolve }));
    expect(await failed).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/rules 1, member 3 with .*rules 2; .*one version/),
    });
    expect(await add(nodes.get(2)!, 4)).toBe(7);
    expect(await sum(nodes.get(3)!, 'stale')).toBe(0);
    await stop(3);
    await expect(start(3, { engine })).rejects.toMatchObject({ code: 'WRONG_FORMAT' }); // it may have come to hold what these do not know
    for (const id of [1, 2]) await stop(id);
    for (const id of [1, 2, 3]) await start(id, { engine, machine: later });
    expect(fromUtf8(await nodes.get(3)!.execute(toUtf8('double')))).toBe('14');
  });
});

describe('a node', () => {
  it('refuses to start beside itself, outside its group, on a port in use, or with a deadline that is none', async () => {
    await start(1);
    await expect(start(1)).rejects.toMatchObject({ code: 'DIR_IN_USE' });
    await expect(start(9)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(start(2, { deadlineMs: Number.NaN })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(start(2, { members: { ...members, 2: members[1]! } })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  });

  it("refuses another member's directory, one of another engine, and an address without a port", async () => {
    await start(1);
    await stop(1);
    const own = join(dir, '1'); // under another id it would break what it has promised
    await expect(start(2, { dir: own })).rejects.toMatchObject({
      ...{ code: 'WRONG_CLUSTER', message: expect.stringMatching(/belongs to member 1, not to member 2/) },
    });
    await expect(start(1, { engine: MultiPaxos })).rejects.toMatchObject({ code: 'WRONG_FORMAT' });
    await expect(start(1, { members: { 1: 'localhost' } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await start(1);
  });

  it('says NO_QUORUM of a question that its leader could not answer: it has changed nothing', async () => {
    // For so long it leads on, as far as it knows, when it is alone: the question waits for the others.
    const timing = { electionTimeoutMinMs: 1500, electionTimeoutMaxMs: 1800 };
    for (const id of [1, 2, 3]) await start(id, { timing, deadlineMs: 900 });
    const leading = () => [...nodes.values()].find(({ status }) => status.role === 'leader' && status.established);
    await expect.poll(leading, { timeout: 10_000 }).toBeDefined();
    const leader = leading()!;
    for (const id of [1, 2, 3]) if (nodes.get(id) !== leader) await stop(id);
    await expect(sum(leader)).rejects.toMatchObject({ code: 'NO_QUORUM' });
  });

  it('without questions says so', async () => {
    const { query: _, ...mute } = adder;
    const node = await start(1, { machine: mute, members: { 1: members[1]! } });
    await add(node, 2);
    await expect(node.query(toUtf8(''))).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
  });
});
