import { describe, expect, test } from 'vitest';
import { bytesEqual } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';

const kibi = 1024;
const mebi = 1024 * kibi;

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (thrown) {
    return thrown instanceof CairnError ? thrown.code : String(thrown);
  }
}

describe('writing', () => {
  test('packets end at multiples of a packet within their chunk, whatever the pieces were', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const stream = await cluster.run(client.writeStream('/big', { chunkBytes: 4 * mebi, start: 0 }));
    const bytes = sample(5 * mebi + 100);
    const all = (async () => {
      for (let at = 0; at < bytes.length; at += 300_000) await stream.write(bytes.subarray(at, at + 300_000));
      await stream.close();
    })();
    await cluster.run(all);
    expect(bytesEqual(cluster.content('/big'), bytes)).toBe(true);
    const writes = cluster.servers
      .flatMap(({ mutations }) => mutations)
      .map(({ kind }) => (kind.kind === 'write' ? kind.offset : -1));
    expect(writes.filter((offset) => offset % mebi === 0).length).toBe(6);
    expect(writes.length).toBeLessThanOrEqual(7); // one more for what left before anything was under way
  });

  test('at most a window of packets is under way, and the writer holds its caller back', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ writeWindowBytes: 3 * mebi });
    for (const server of cluster.servers) server.mutateMs = 20;
    const stream = await cluster.run(client.writeStream('/big', { chunkBytes: 64 * mebi }));
    const piece = sample(mebi);
    let taken = 0;
    const all = (async () => {
      for (; taken < 12; taken++) await stream.write(piece);
      await stream.close();
    })();
    await cluster.world.run(10);
    expect(taken).toBe(2);
    await cluster.run(all);
    expect(Math.max(...cluster.servers.map(({ inMutateMax }) => inMutateMax))).toBe(3);
  });

  test('over a slow link nothing is given up and repeated: less is under way, and the server is heard', async () => {
    const cluster = await FakeCluster.start(1, { network: { bytesPerMs: 250 } });
    const client = await cluster.client();
    const bytes = sample(12 * mebi);
    const stream = await cluster.run(client.writeStream('/big', { chunkBytes: 64 * mebi }));
    const all = (async () => {
      await stream.write(bytes);
      await stream.close();
    })();
    await cluster.run(all, 200_000);
    expect(bytesEqual(cluster.content('/big'), bytes)).toBe(true);
    expect(cluster.mutations.length).toBe(12);
    expect(cluster.events).not.toContain('client.serverSilent');
  });

  test.each(['w', 'a'] as const)(
    "with '%s' bytes keep their order, and none is left out, though nobody waits before the next",
    async (flags) => {
      const cluster = await FakeCluster.start(1);
      const client = await cluster.client();
      for (const server of cluster.servers) server.mutateMs = 10;
      const stream = await cluster.run(client.writeStream('/big', { chunkBytes: 16 * mebi, flags }));
      const bytes = sample(9 * mebi + 500);
      const cuts = [0, 3 * mebi + 100, 6 * mebi + 200, 6 * mebi + 300, bytes.length];
      const writes = cuts.slice(1).map((to, n) => stream.write(bytes.subarray(cuts[n], to)));
      await cluster.run(Promise.all([...writes, stream.close()]));
      expect(bytesEqual(cluster.content('/big'), bytes)).toBe(true);
      expect(await codeOf(cluster.run(stream.write(bytes)))).toBe('ABORTED');
      expect(await codeOf(cluster.run(stream.close()))).toBe('ok');
    },
  );

  test('a slow producer needs not wait for a packet to fill', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const stream = await cluster.run(client.writeStream('/slow'));
    await cluster.run(stream.write(sample(10)));
    await cluster.world.run(20);
    expect(cluster.content('/slow').length).toBe(10);
  });

  test('the next chunk is prepared before this one is full, if it is certain to be needed', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const indexOf = (request: unknown) => (request as { index: number }).index;
    const acquired: [number, number][] = [];
    cluster.master.before = (kind, request) => {
      if (kind === 'acquire') acquired.push([indexOf(request), cluster.mutations.length]);
    };
    const settings = { chunkBytes: 16 * mebi, expectedBytes: 17 * mebi };
    const stream = await cluster.run(client.writeStream('/big', settings));
    const all = (async () => {
      for (let n = 0; n < 17; n++) await stream.write(sample(mebi));
      await stream.close();
    })();
    await cluster.run(all);
    expect(acquired.map(([index]) => index)).toEqual([1]);
    expect(acquired[0]![1]).toBeLessThan(16);
    expect((await cluster.run(client.stat('/big'))).size).toBe(17 * mebi);
    const exact = await cluster.run(client.writeStream('/exact', { chunkBytes: 64 * kibi, expectedBytes: 64 * kibi }));
    await cluster.run(exact.write(sample(64 * kibi)).then(() => exact.close()));
    expect(cluster.master.file('/exact').chunks.size).toBe(1);
  });

  test('a stream into which fewer bytes came than were announced does not close as if they were all', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const stream = await cluster.run(client.writeStream('/f', { expectedBytes: 100 * kibi }));
    await cluster.run(stream.write(sample(10 * kibi)));
    expect(await codeOf(cluster.run(stream.close()))).toBe('INVALID_ARGUMENT'); // there are zeros behind them
    const exact = await cluster.run(client.writeStream('/f', { expectedBytes: 100 * kibi }));
    await cluster.run(exact.write(sample(100 * kibi)).then(() => exact.close()));
  });

  test('a copy of a file that is cut meanwhile fails, and has no zeros for what is gone', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/f', sample(6 * mebi), { chunkBytes: mebi }));
    for (const server of cluster.servers)
      server.beforeRead = async () => {
        for (const { id } of cluster.servers) cluster.server(id).beforeRead = () => undefined;
        await client.truncate('/f', 100);
        for (const { chunks } of cluster.servers)
          for (const handle of chunks.keys()) if (handle > 1) chunks.delete(handle);
        return undefined;
      };
    expect(await codeOf(cluster.run(client.cp('/f', '/copy')))).toBe('BUSY');
  });

  test('a lost answer, a refusal, a dead primary: each packet is written again, under a later version', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (const server of cluster.servers) {
      server.mutateMs = 2;
      server.afterMutate = (_, count) => (count === 2 ? 'lose' : undefined);
      server.beforeMutate = (_, count) => {
        if (count === 4) throw new CairnError('LEASE_EXPIRED', 'given up');
        return undefined;
      };
    }
    const bytes = sample(3 * mebi);
    const written = client.writeFile('/big', bytes, { chunkBytes: 256 * kibi });
    cluster.world.after(25, () => cluster.server(2).node.crash());
    await cluster.run(written);
    expect(bytesEqual(cluster.content('/big'), bytes)).toBe(true);
    expect([...cluster.master.file('/big').chunks.values()].some(({ version }) => version > 1)).toBe(true);
  });

  test('what failed at many packets at once is asked of the master once', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/f', 'w', { chunkBytes: 64 * mebi }));
    await cluster.run(handle.write(sample(10)));
    const primary = cluster.primaryOf('/f');
    primary.mutateMs = 20;
    const before = cluster.master.counts.get('acquire') ?? 0;
    const written = handle.write(sample(8 * mebi), { position: 0 });
    cluster.world.after(30, () => primary.node.crash());
    await cluster.run(written);
    expect((cluster.master.counts.get('acquire') ?? 0) - before).toBe(1);
    expect(bytesEqual(cluster.content('/f'), sample(8 * mebi))).toBe(true);
  });

  test('an unknown outcome is never repeated under the same version', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/f', 'w'));
    for (const server of cluster.servers) server.afterMutate = (_, count) => (count <= 2 ? 'lose' : undefined);
    await cluster.run(handle.write(sample(100)));
    const versions = cluster.servers.flatMap(({ mutations }) => mutations.map(({ grant }) => grant.version));
    expect(new Set(versions).size).toBe(versions.length);
    expect(versions.length).toBeGreaterThan(1);
  });

  test('BUSY is waited out under the same grant', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (const server of cluster.servers)
      server.beforeMutate = (_, count) => {
        if (count < 4) throw new CairnError('BUSY', 'too much at once');
        return undefined;
      };
    await cluster.run(client.writeFile('/f', sample(100)));
    expect([cluster.content('/f').length, cluster.master.counts.get('acquire')]).toEqual([100, undefined]);
  });

  test('bytes that are changed while they are written give an error, not other bytes', async () => {
    const cluster = await FakeCluster.start(1, { network: { poisonDelivered: false } });
    const client = await cluster.client();
    const bytes = sample(100 * kibi);
    const handle = await cluster.run(client.open('/f', 'w'));
    const written = handle.write(bytes);
    bytes[50] = 255 - bytes[50]!;
    expect(await codeOf(cluster.run(written))).toBe('INVALID_ARGUMENT');
  });
});

describe('what was given up', () => {
  /** The first attempt of a write is refused after a while: only another one could carry it out. */
  async function refusedOnce() {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/f', 'w', { chunkBytes: 64 * mebi }));
    await cluster.run(handle.write(sample(1), { position: 0 }));
    const primary = cluster.primaryOf('/f');
    const refused = primary.mutations.length + 1;
    primary.beforeMutate = async (_, count) => {
      if (count !== refused) return undefined;
      await new Promise<void>((go) => cluster.world.after(50, go));
      throw new CairnError('LEASE_EXPIRED', 'given up');
    };
    return { cluster, client, handle };
  }

  test('by an abort is not tried again, over what was written since', async () => {
    const { cluster, handle } = await refusedOnce();
    const controller = new AbortController();
    const old = handle.write(sample(100, 2), { position: 0, signal: controller.signal });
    cluster.world.after(20, () => controller.abort());
    expect(await codeOf(cluster.run(old))).toBe('ABORTED');
    await cluster.run(handle.write(sample(100, 3), { position: 0 }));
    await cluster.world.run(5000);
    expect(bytesEqual(cluster.content('/f'), sample(100, 3))).toBe(true);
  });

  test('with a stream is not tried again', async () => {
    const { cluster, client, handle } = await refusedOnce();
    const stream = await cluster.run(client.writeStream('/f', { flags: 'r+' }));
    await cluster.run(stream.write(sample(100, 2)));
    await cluster.world.run(20);
    stream.abort();
    await cluster.run(handle.write(sample(100, 3), { position: 0 }));
    await cluster.world.run(5000);
    expect(bytesEqual(cluster.content('/f'), sample(100, 3))).toBe(true);
    expect(await codeOf(cluster.run(stream.close()))).toBe('ABORTED');
  });

  test('because another packet has failed is not tried again', async () => {
    const { cluster, client, handle } = await refusedOnce();
    const stream = await cluster.run(client.writeStream('/f', { flags: 'r+' }));
    const primary = cluster.primaryOf('/f');
    const { beforeMutate } = primary;
    primary.beforeMutate = (request, count) => {
      if (request.kind.kind === 'write' && request.kind.offset === mebi)
        throw new CairnError('INTERNAL', 'it fails for ever');
      return beforeMutate(request, count);
    };
    const failed = stream.write(sample(2 * mebi, 2)).then(() => stream.close());
    expect(await codeOf(cluster.run(failed))).toBe('INTERNAL');
    await cluster.run(handle.write(sample(100, 3), { position: 0 }));
    await cluster.world.run(5000);
    expect(bytesEqual(cluster.content('/f').subarray(0, 100), sample(100, 3))).toBe(true);
  });

  test('by an abort of truncate is not tried again, and does not cut what was written since', async () => {
    const { cluster, client, handle } = await refusedOnce();
    const controller = new AbortController();
    const cut = client.truncate('/f', 10, { signal: controller.signal });
    cluster.world.after(20, () => controller.abort());
    expect(await codeOf(cluster.run(cut))).toBe('ABORTED');
    await cluster.run(handle.write(sample(100, 3), { position: 0 }));
    await cluster.world.run(5000);
    expect(cluster.content('/f').length).toBe(100);
  });
});

describe('writes that cannot succeed', () => {
  test('end within the deadline, tell the last reason, and stop what comes after', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 1500 });
    const stream = await cluster.run(client.writeStream('/f', { chunkBytes: 64 * mebi }));
    for (const server of cluster.servers)
      server.beforeMutate = () => {
        throw new CairnError('DISK_FULL', 'no room', { hint: String(server.id) });
      };
    const before = cluster.world.now;
    const all = (async () => {
      for (let n = 0; n < 30; n++) await stream.write(sample(mebi));
      await stream.close();
    })();
    expect(await codeOf(cluster.run(all))).toBe('DISK_FULL');
    expect(cluster.world.now - before).toBeLessThan(3000);
    expect(await codeOf(cluster.run(stream.write(sample(1))))).toBe('DISK_FULL');
  });

  test('who shares a question for a grant with one whose time is over goes on by himself', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 3000 });
    const handle = await cluster.run(client.open('/f', 'w'));
    let isStuck = true;
    cluster.master.before = (kind) => (kind === 'acquire' && isStuck ? new Promise(() => undefined) : undefined);
    const early = codeOf(handle.write(sample(10), { position: 0 }));
    await cluster.world.run(2500);
    const late = codeOf(handle.write(sample(10), { position: 10 }));
    cluster.world.after(1500, () => {
      isStuck = false;
    });
    expect(await cluster.run(Promise.all([early, late]))).toEqual(['NO_QUORUM', 'ok']);
  });

  test('a server that answers nothing: the error comes in time and says that it may have happened', async () => {
    const cluster = await FakeCluster.start(1, { servers: 1 });
    const client = await cluster.client({ deadlineMs: 3000 });
    const handle = await cluster.run(client.open('/f', 'w'));
    cluster.server(1).node.pause();
    const before = cluster.world.now;
    const written = cluster.run(handle.write(sample(10)));
    await expect(written).rejects.toThrow(/it may have taken effect/);
    expect(await codeOf(written)).toBe('TIMED_OUT');
    expect(cluster.world.now - before).toBeLessThan(4500);
  });

  test('a stream that was given up with bytes unwritten does not close as if they were there', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (const server of cluster.servers) server.mutateMs = 100;
    const stream = await cluster.run(client.writeStream('/f'));
    await cluster.run(stream.write(sample(10)));
    await cluster.world.run(50);
    await cluster.run(stream.write(sample(10)));
    stream.abort();
    expect(await codeOf(cluster.run(stream.close()))).toBe('ABORTED');
  });

  test('an abort stops a stream at once', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const controller = new AbortController();
    for (const server of cluster.servers) server.mutateMs = 1000;
    const stream = await cluster.run(client.writeStream('/f', { chunkBytes: 64 * mebi, signal: controller.signal }));
    const all = (async () => {
      for (let n = 0; n < 30; n++) await stream.write(sample(mebi));
    })();
    cluster.world.after(100, () => controller.abort());
    const before = cluster.world.now;
    expect(await codeOf(cluster.run(all))).toBe('ABORTED');
    expect(cluster.world.now - before).toBeLessThan(101);
    await cluster.world.run(5000);
    const sent = cluster.mutations.length;
    expect(sent).toBeLessThanOrEqual(8);
  });
});
