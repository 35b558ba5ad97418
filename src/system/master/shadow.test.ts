import { describe, expect, it } from 'vitest';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { masterCalls } from '../../core/protocol/master-calls.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { codeOf, type TestMaster, TestMasters } from './cluster.test-support.ts';

type Calls = typeof masterCalls;

class Reader {
  readonly #c: TestMasters;
  readonly #rpcs = new Map<TestMaster, RpcConnection<Calls>>();

  constructor(c: TestMasters) {
    this.#c = c;
  }

  /** Asks this master, and no other. */
  async call<K extends keyof Calls & string>(
    master: TestMaster,
    kind: K,
    request: RequestOf<Calls[K]>,
  ): Promise<ResponseOf<Calls[K]>> {
    let rpc = this.#rpcs.get(master);
    if (rpc === undefined || rpc.isClosed) {
      rpc = RpcConnection.connect(this.#c.world.node('reader').env, master.address, masterCalls, undefined);
      this.#rpcs.set(master, rpc);
    }
    return (await this.#c.world.settle(rpc.call(kind, request, { timeoutMs: 2000 }))).response;
  }

  stat(master: TestMaster, path: string, maxAgeMs = 60_000) {
    return this.call(master, 'shadow', { maxAgeMs, ask: { kind: 'stat', path } });
  }
}

async function started(seed: number) {
  const c = await TestMasters.start(seed);
  await c.create('/first');
  await c.run(1200);
  return { c, reader: new Reader(c), followers: c.masters.filter((master) => master !== c.leader) };
}

/** From the other masters, not from clients. */
function cutOff(c: TestMasters, master: TestMaster): () => void {
  const others = c.masters.filter((other) => other !== master).map(({ node }) => node.name);
  return c.world.network.partition([master.node.name], others);
}

describe('a read that may be a little old', () => {
  it('is answered by every master, each saying how old what it has can be', async () => {
    const { c, reader } = await started(1);
    for (const master of c.masters) {
      const { ageMs, answer } = await reader.stat(master, '/first');
      expect(answer).toMatchObject({ kind: 'stat', attributes: { kind: 'file' } });
      expect(ageMs).toBeGreaterThan(0);
      expect(ageMs).toBeLessThan(700);
    }
    const [follower] = c.masters.filter((master) => master !== c.leader);
    const page = { kind: 'readdir', path: '/', after: '', limit: 10, withAttributes: true } as const;
    const listed = await reader.call(follower!, 'shadow', { maxAgeMs: 1000, ask: page });
    expect(listed.answer).toMatchObject({ entries: [{ name: 'first' }], more: false });
  });

  it('is no older for want of readers', { timeout: 20_000 }, async () => {
    const { c, reader, followers } = await started(6);
    await c.run(60_000);
    for (const master of followers) expect((await reader.stat(master, '/first')).ageMs).toBeLessThan(700);
  });

  it('has everything that was acknowledged longer ago than it says', async () => {
    const { c, reader } = await started(2);
    const { random } = c.world.node('reader').env;
    const missing: string[] = [];
    let [seen, unsure] = [0, 0];
    for (let n = 0; n < 40; n++) {
      await c.create(`/f${n}`, { allocate: false });
      const acknowledgedAt = c.world.now;
      await c.run(random.below(300));
      const master = c.masters[random.below(3)]!;
      const askedAt = c.world.now;
      const ask = { kind: 'readdir', path: '/', after: '', limit: 100, withAttributes: false } as const;
      const { ageMs, answer } = await reader.call(master, 'shadow', { maxAgeMs: 60_000, ask });
      const isThere = answer.kind === 'readdir' && answer.entries.some(({ name }) => name === `f${n}`);
      if (askedAt - ageMs < acknowledgedAt) unsure += 1;
      else if (isThere) seen += 1;
      else missing.push(`f${n}`);
    }
    expect(missing).toEqual([]);
    expect(Math.min(seen, unsure)).toBeGreaterThan(3);
  });

  it('is made fresher when it is asked for and the leader answers', async () => {
    const { c, reader, followers } = await started(3);
    for (let n = 0; n < 10; n++) {
      await c.create(`/g${n}`, { allocate: false });
      await c.run(37);
      const { ageMs } = await reader.stat(followers[n % 2]!, '/first', 100);
      expect(ageMs).toBeLessThanOrEqual(100);
    }
  });

  it('grows older at a master that is cut off, is refused there when it is too old, and never passes for a strong one', async () => {
    const { c, reader, followers } = await started(4);
    const [cut] = followers;
    const heal = cutOff(c, cut!);
    await c.create('/later', { allocate: false });
    await c.run(5000);
    const { ageMs } = await reader.stat(cut!, '/first');
    expect(ageMs).toBeGreaterThan(4500);
    expect(await codeOf(reader.stat(cut!, '/later'))).toBe('NOT_FOUND');
    expect(await codeOf(reader.stat(cut!, '/first', 3000))).toBe('TOO_OLD');
    expect(await codeOf(reader.call(cut!, 'stat', { path: '/first' }))).toBe('NOT_LEADER');
    heal();
    await c.run(3000);
    expect((await reader.stat(cut!, '/later', 1500)).ageMs).toBeLessThanOrEqual(1500);
  });

  it('goes on while nobody leads', async () => {
    const { c, reader, followers } = await started(5);
    const [left, gone] = followers;
    c.crash(gone!);
    c.crash(c.leader!);
    await c.run(4000);
    expect((await reader.stat(left!, '/first')).ageMs).toBeGreaterThan(3500);
    expect(await codeOf(reader.stat(left!, '/first', 1000))).toBe('TOO_OLD');
  });

  it('is not answered by a master that has just started and knows nothing yet', async () => {
    const { c, reader, followers } = await started(6);
    const [master] = followers;
    c.crash(master!);
    cutOff(c, master!);
    c.restart(master!);
    await c.run(500);
    expect(await codeOf(reader.stat(master!, '/first', Number.MAX_SAFE_INTEGER))).toBe('TOO_OLD');
  });

  it('is refused of what a file snapshot has not laid out yet, unless it is by then', async () => {
    const { c, reader, followers } = await started(7);
    for (let i = 0; i < 30; i++) await c.create(`/a/f${i}`, { allocate: false });
    await c.call('fileSnapshot', { id: c.id(), from: '/a', to: '/copy' });
    const codes = new Set<string>();
    for (let n = 0; n < 40; n++) {
      codes.add(await codeOf(reader.stat(followers[0]!, '/copy/f7')));
      await c.run(20);
    }
    for (const code of codes) expect(['NOT_FOUND', 'UNAVAILABLE', 'ok']).toContain(code);
    expect(codes).toContain('ok');
  });
});
