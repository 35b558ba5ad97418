import { describe, expect, it } from 'vitest';
import { TestMasters } from './cluster.test-support.ts';

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
