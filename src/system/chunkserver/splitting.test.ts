import { describe, expect, test } from 'vitest';
import { toChunkHandle, toChunkVersion } from '../../core/base/brand.ts';
import { codeOf, difference, joined, pattern, TestCluster } from './cluster.test-support.ts';

const [handle, into] = [toChunkHandle(5), toChunkHandle(99)];

describe('a split', () => {
  test('of a replica that lost its end with its power leaves it as it is: it never comes before the others', async () => {
    const cluster = await TestCluster.start(1, 2);
    const records = [0, 1, 2, 3, 4, 5].map((n) => pattern(50_000 + n, n));
    const append = (grant: ReturnType<typeof cluster.master.grant>, n: number) =>
      cluster.settle(cluster.client.append(grant, 9, n, [records[n]!]));
    const flushed = { ...cluster.master.grant(5, [1, 2]), durability: 'disk' as const };
    for (const n of [0, 1, 2]) await append(flushed, n);
    const held = cluster.master.grant(5, [1, 2]);
    for (const n of [3, 4, 5]) await append(held, n);
    const { version } = held;
    const { length } = joined(records);
    cluster.kill(2, true);
    await cluster.restart(2);
    const split = await cluster.settle(cluster.master.order(2, 'split', { handle, version, into, length }));
    expect(split.length).toBeLessThan(length);
    // The master stops leading before it can say what follows from that; the file that shared the chunk is removed, and it is granted as it was.
    cluster.master.grant(5, [1, 2]);
    const next = cluster.master.grant(5, [1, 2]);
    expect(await cluster.settle(codeOf(cluster.client.append(next, 9, 9, [pattern(10, 9)])))).toBe('OK');
    for (const server of [1, 2])
      expect(difference(await cluster.content(server, 5), joined([...records, pattern(10, 9)]))).toBe('none');
    expect(toChunkVersion(next.version)).toBe(version + 2);
  });

  test('of a replica of an earlier version is refused, however long it is: its bytes would pass for those of now', async () => {
    const cluster = await TestCluster.start(2, 2);
    const disk = { durability: 'disk' } as const;
    const length = 150_000;
    await cluster.settle(cluster.client.write({ ...cluster.master.grant(5, [1, 2]), ...disk }, 0, pattern(length, 1)));
    cluster.kill(2);
    const grant = { ...cluster.master.grant(5, [1]), ...disk };
    const { version } = grant;
    await cluster.settle(cluster.client.write(grant, 0, pattern(length, 2)));
    await cluster.restart(2);
    const split = (server: number) => cluster.master.order(server, 'split', { handle, version, into, length });
    expect(await cluster.settle(codeOf(split(2)))).toBe('STALE_VERSION');
    expect(await cluster.settle(cluster.master.order(2, 'holds', { handle: into }))).toMatchObject({ length: 0 });
    expect((await cluster.settle(split(1))).length).toBe(length);
  });
});
