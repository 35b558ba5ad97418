import { describe, expect, test } from 'vitest';
import { toAddress } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { CairnClient } from './client.ts';
import { parseClusterUrl } from './cluster-url.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';
import { commandsInFlightMax, commandsRefusedMax } from './limits.ts';

describe('commands', () => {
  test('a command whose answer was lost is repeated under the same id and takes effect once', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    cluster.master.loses = (kind, count) => kind === 'mkdir' && count === 1;
    await cluster.run(client.mkdir('/d'));
    const ids = cluster.master.commands.map(({ id }) => [id.client, id.sequence]);
    expect(ids.length).toBe(2);
    expect(ids[0]).toEqual(ids[1]);
  });

  test('an exclusive create whose answer was lost does not meet itself', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    cluster.master.loses = (_, count) => count === 1;
    const handle = await cluster.run(client.open('/x', 'wx'));
    await cluster.run(handle.write(sample(3)));
    await expect(cluster.run(client.open('/x', 'wx'))).rejects.toMatchObject({ code: 'EXISTS' });
  });

  test('sequences begin at 1, and each command says below which all answers are known', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    let release = () => {};
    const held = new Promise<void>((go) => {
      release = go;
    });
    cluster.master.before = async (_, request) => {
      if ((request as { path: string }).path === '/slow') await held;
    };
    const slow = client.mkdir('/slow');
    await cluster.world.run(50);
    for (let n = 0; n < 3; n++) await cluster.run(client.mkdir(`/d${n}`));
    release();
    await cluster.run(slow);
    await cluster.run(client.mkdir('/last'));
    const ids = cluster.master.commands.map(({ id }) => [id.sequence, id.ackBelow]);
    expect(ids).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
      [5, 5],
    ]);
  });

  test('no more than a window of commands is without an answer; the others wait and go in order', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    let release = () => {};
    const held = new Promise<void>((go) => {
      release = go;
    });
    cluster.master.before = () => held;
    const all = Array.from({ length: commandsInFlightMax + 500 }, (_, n) => client.mkdir(`/d${n}`));
    await cluster.world.run(300);
    expect(cluster.master.commands.length).toBe(commandsInFlightMax);
    release();
    await cluster.run(Promise.all(all));
    const sequences = cluster.master.commands.map(({ id }) => id.sequence);
    expect(sequences).toEqual(Array.from({ length: commandsInFlightMax + 500 }, (_, n) => n + 1));
    for (const { id } of cluster.master.commands) expect(id.sequence - id.ackBelow).toBeLessThan(commandsInFlightMax);
  });

  test('a command that hangs stops no others: what the masters keep of the answers behind it is bounded', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 60_000 });
    cluster.master.before = (_, request) =>
      (request as { path: string }).path === '/slow' ? new Promise(() => undefined) : undefined;
    client.mkdir('/slow').catch(() => undefined);
    for (let round = 0; round < 5; round++)
      await cluster.run(Promise.all(Array.from({ length: 1000 }, (_, n) => client.mkdir(`/d${round}-${n}`))));
    const ids = cluster.master.commands.map(({ id }) => id);
    expect(ids.length).toBeGreaterThanOrEqual(5001);
    expect(Math.max(...ids.map(({ sequence, ackBelow }) => sequence - ackBelow))).toBeLessThan(2048);
    expect(new Set(ids.map(({ client }) => client)).size).toBeLessThanOrEqual(4);
    await client.close();
  });

  test('what was never sent is not acknowledged to masters that do not know the client yet', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const nameless = client.mkdir('/a', { durability: 'paper' as 'disk' });
    await expect(cluster.run(nameless)).rejects.toBeInstanceOf(CairnError);
    await cluster.run(client.mkdir('/b'));
    expect(cluster.master.commands.map(({ id }) => id.ackBelow)).toEqual([1]);
    await cluster.run(client.mkdir('/c'));
    expect(cluster.master.commands.at(-1)!.id).toMatchObject({ sequence: 3, ackBelow: 3 });
  });

  test('a client all of whose commands are refused goes on under a new id before the masters keep too many of its answers', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (let n = 0; n < 2 * commandsRefusedMax; n++)
      await expect(cluster.run(client.rename('/none', '/other'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await cluster.run(client.mkdir('/d'));
    const sequences = cluster.master.commands.map(({ id }) => id.sequence);
    expect(Math.max(...sequences)).toBe(commandsRefusedMax);
    expect(new Set(cluster.master.commands.map(({ id }) => id.client)).size).toBe(3);
  });

  test('settings that are no numbers of their kind are refused before they become others on the wire', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (const wrong of [
      { replication: 65_537 },
      { minReplicas: 1.5 },
      { chunkBytes: -1 },
      { replication: Number.NaN },
    ]) {
      await expect(cluster.run(client.mkdir('/d', wrong))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(cluster.run(client.open('/f', 'w', wrong))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(cluster.run(client.set('/', wrong))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(cluster.master.commands).toEqual([]);
  });

  test('after a long silence, or when its session has ended, the client goes on under a new id', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.mkdir('/a'));
    await cluster.world.run(11 * 60 * 1000);
    await cluster.run(client.mkdir('/b'));
    const [a, b] = cluster.master.commands.map(({ id }) => id);
    expect([b!.sequence, b!.ackBelow]).toEqual([1, 1]);
    expect(b!.client).not.toBe(a!.client);
    cluster.master.before = () => {
      throw new CairnError('SESSION_EXPIRED', 'unknown client');
    };
    await expect(cluster.run(client.mkdir('/c'))).rejects.toMatchObject({ code: 'SESSION_EXPIRED' });
    cluster.master.before = () => undefined;
    await cluster.run(client.mkdir('/c'));
    expect(cluster.master.commands.at(-1)!.id.client).not.toBe(b!.client);
  });

  test('after a command that may never have come to a master the client goes on under a new id: it is unknown there', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 1000 });
    cluster.master.before = () => {
      throw new CairnError('NOT_LEADER', 'nobody leads');
    };
    await expect(cluster.run(client.mkdir('/a'))).rejects.toMatchObject({ code: 'NO_QUORUM' });
    cluster.master.before = () => undefined;
    const before = cluster.master.commands.at(-1);
    await cluster.run(client.mkdir('/b'));
    const { id } = cluster.master.commands.at(-1)!;
    expect([id.sequence, id.ackBelow]).toEqual([1, 1]);
    expect(id.client).not.toBe(before?.id.client);
  });

  test('what was given up is not asked for again: it might undo what was done since', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.mkdir('/a'));
    let refused = 0;
    cluster.master.before = async (kind) => {
      if (kind !== 'discard' || refused++ > 0) return;
      await new Promise<void>((go) => cluster.world.after(50, go));
      throw new CairnError('NOT_LEADER', 'nobody leads');
    };
    const controller = new AbortController();
    const removed = client.rm('/a', { signal: controller.signal });
    cluster.world.after(20, () => controller.abort());
    await expect(cluster.run(removed)).rejects.toMatchObject({ code: 'ABORTED' });
    await cluster.world.run(2000);
    expect([refused, await cluster.run(client.exists('/a'))]).toEqual([1, true]);
  });

  test('of what was only asked, nobody is told that it may have taken effect', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 2000 });
    cluster.master.before = () => new Promise(() => undefined);
    const code = (work: Promise<unknown>) => cluster.run(work).catch(({ code, message }) => `${code} ${message}`);
    expect(await code(client.stat('/a'))).toMatch(/^NO_QUORUM (?!.*effect)/);
    expect(await code(client.mkdir('/a'))).toMatch(/^UNKNOWN_OUTCOME .*taken effect/);
  });

  test('no master: connecting ends with a clear error within the deadline', async () => {
    const cluster = await FakeCluster.start(1);
    const { env } = cluster.world.node('client');
    const before = cluster.world.now;
    const nowhere = CairnClient.start(env, [toAddress('nowhere:1')], { deadlineMs: 1000 });
    await expect(cluster.run(nowhere)).rejects.toThrow(/no master could answer within 1 s/);
    expect(cluster.world.now - before).toBeLessThan(2000);
  });

  test('a closed client refuses, and ends what is under way', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    cluster.master.before = () => new Promise(() => undefined);
    const underWay = client.stat('/');
    await cluster.world.run(10);
    await client.close();
    await expect(cluster.run(underWay)).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(cluster.run(client.stat('/'))).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('a closed client opens no more connections for reads that may be old', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const before = cluster.world.network.connectionCount;
    cluster.master.before = (kind) =>
      kind === 'shadow' ? new Promise((go) => cluster.world.after(50, go)) : undefined;
    const shadow = client.shadow();
    await cluster.run(shadow.stat('/'));
    const underWay = shadow.stat('/');
    await cluster.world.run(20);
    await client.close();
    await expect(cluster.run(underWay)).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(cluster.run(shadow.stat('/'))).rejects.toMatchObject({ code: 'ABORTED' });
    await cluster.world.run(100);
    expect(cluster.world.network.connectionCount).toBeLessThan(before);
  });

  test('connections to chunkservers that nobody uses are closed', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const before = cluster.world.network.connectionCount;
    await cluster.run(client.writeFile('/f', sample(10)));
    expect(cluster.world.network.connectionCount).toBe(before + 1);
    await cluster.world.run(40_000);
    expect(cluster.world.network.connectionCount).toBe(before);
    expect((await cluster.run(client.readFile('/f'))).length).toBe(10);
  });
});

describe('names of clusters', () => {
  test('hosts with and without ports, several, each once', () => {
    expect(parseClusterUrl('cairn://a:1,b,[::1]:3/')).toEqual(['a:1', 'b:7070', '[::1]:3']);
    expect(parseClusterUrl('cairn://a,a:7070')).toEqual(['a:7070']);
  });

  test('anything else is refused with how to write it', () => {
    for (const wrong of [
      '',
      'http://a',
      'cairn://',
      'cairn://a:0',
      'cairn://a:99999',
      'cairn://a,,b',
      'cairn://a/b',
      'cairn://u@a',
    ]) {
      expect(() => parseClusterUrl(wrong), wrong).toThrow(/cairn:\/\/host:port/);
    }
  });
});
