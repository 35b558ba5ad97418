import { describe, expect, it } from 'vitest';
import { type ChunkHandle, toChunkHandle } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { TestMasters } from './cluster.test-support.ts';
import type { LeaderWorld } from './leader-world.ts';
import { OpenChunks, watchedMax } from './open-chunks.ts';
import { defaultMasterTiming } from './options.ts';

describe('open chunks of which nothing is heard', () => {
  it('are sealed: a lease that was granted and never used', async () => {
    const cluster = await TestMasters.start(1, { timing: { openQuietMs: 3000 } });
    const { grant } = await cluster.create('/a');
    const { handle } = grant!;
    await cluster.run(2500);
    expect(cluster.chunk(handle)?.sealed).toBe(false);
    await cluster.until('it is sealed', () => cluster.chunk(handle)?.sealed === true, 10_000);
    expect(cluster.eventsNamed('open_chunk_sealed')).toHaveLength(1);
  });

  it('are sealed by recovery when the primary was restarted and knows no lease', async () => {
    const cluster = await TestMasters.start(2, { timing: { openQuietMs: 3000 } });
    const { grant } = await cluster.create('/a');
    const { handle, replicas, version } = grant!;
    expect(cluster.write(grant!, 500)).toBe(true);
    const primary = cluster.server(replicas[0]!.server);
    cluster.crashServer(primary);
    cluster.restartServer(primary);
    await cluster.until('it is sealed', () => cluster.chunk(handle)?.sealed === true, 10_000);
    expect(cluster.chunk(handle)!.length).toBe(500);
    expect(cluster.chunk(handle)!.version).toBeGreaterThanOrEqual(version);
  });

  it('stay open while lengths are reported, and while a member may only be away for a moment', async () => {
    const cluster = await TestMasters.start(3, { timing: { openQuietMs: 1500 } });
    const { grant } = await cluster.create('/a');
    const { handle, replicas, version } = grant!;
    const primary = cluster.server(replicas[0]!.server);
    for (let length = 100; length <= 800; length += 100) {
      expect(cluster.write(grant!, length)).toBe(true);
      primary.reports.push({ handle, version, length, release: false });
      await cluster.run(900);
      expect(cluster.chunk(handle)?.sealed).toBe(false);
    }
    cluster.server(replicas[1]!.server).isMute = true;
    await cluster.run(5000);
    expect(cluster.chunk(handle)?.sealed).toBe(false);
  });
});

/** A table in which chunks are open or not, and nothing else. */
function openTable() {
  const world = testWorld(4);
  const { env } = world.node('master');
  const open = new Set<number>();
  const tables = {
    openChunks: (after = 0) => [...open].filter((handle) => handle > after).sort((a, b) => a - b),
    chunk: (handle: number) => (open.has(handle) ? { sealed: false, version: 1, length: 0, servers: [] } : undefined),
  };
  const leader = { env, tables, timing: defaultMasterTiming, servers: { hasSession: () => true }, isStopped: false };
  return { world, open, leader: leader as unknown as LeaderWorld };
}

describe('the watch over open chunks', () => {
  it('forgets those that were sealed by others: however many there were, there is room for the next', async () => {
    const { world, open, leader } = openTable();
    const sealed: ChunkHandle[] = [];
    const watch = new OpenChunks(leader, async (handle) => void sealed.push(handle));
    watch.start();
    for (let first = 1; first <= 2 * watchedMax; first += 900) {
      for (let handle = first; handle < first + 900; handle++) open.add(handle);
      await world.run(1000);
      open.clear();
    }
    const orphan = toChunkHandle(3 * watchedMax);
    open.add(orphan);
    await world.run(defaultMasterTiming.openQuietMs + 3000);
    expect(sealed).toContain(orphan);
    watch.stop();
  });

  it('seals many that are due at once one after another, not a few each time that it comes by', async () => {
    const { world, open, leader } = openTable();
    let underWay = 0;
    let most = 0;
    const watch = new OpenChunks(leader, async (handle) => {
      most = Math.max(most, ++underWay);
      await new Promise<void>((resolve) => leader.env.clock.after(5, resolve));
      underWay -= 1;
      open.delete(handle);
    });
    for (let handle = 1; handle <= 900; handle++) open.add(handle);
    watch.start();
    await world.run(defaultMasterTiming.openQuietMs + 3000);
    expect([open.size, most]).toEqual([0, 8]);
    watch.stop();
  });
});
