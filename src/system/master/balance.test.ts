import { describe, expect, it } from 'vitest';
import type { ChunkHandle } from '../../core/base/brand.ts';
import { TestMasters } from './cluster.test-support.ts';

const files = 60;
const fileBytes = 10_000;
const copies = 2;
/** More than what may be under way at one time, which nobody counts before it has arrived. */
const unevenBytes = 6 * fileBytes;

describe('a new chunkserver', () => {
  it('fills up to about its share, while every chunk keeps all its copies, and then all stays where it is', async () => {
    const c = new TestMasters(1, { servers: 4, timing: { unevenBytes, scanPauseMs: 200 } });
    for (const master of c.masters) c.boot(master);
    const [newcomer, ...others] = [...c.servers].reverse();
    for (const server of c.servers) server.reportsUse = true;
    for (const server of others) server.boot();
    await c.until('three serve', () => others.every((server) => server.serves));
    const handles: ChunkHandle[] = [];
    for (let n = 0; n < files; n++) {
      const { grant } = await c.create(`/f${n}`, { replication: copies });
      c.write(grant!, fileBytes);
      c.release(grant!, fileBytes);
      handles.push(grant!.handle);
    }
    await c.until('all are sealed', () => handles.every((handle) => c.chunk(handle)?.sealed === true));

    newcomer!.boot();
    const lacking = new Set<ChunkHandle>();
    const share = (files * fileBytes * copies) / c.servers.length;
    await c.until(
      'the newcomer has its share',
      () => {
        for (const handle of handles) {
          const holders = c.chunk(handle)!.servers.filter((id) => c.server(id).chunks.has(handle));
          if (holders.length < copies) lacking.add(handle);
        }
        return newcomer!.usedBytes >= share - unevenBytes;
      },
      60_000,
    );
    expect([...lacking]).toEqual([]);
    await c.run(5000);
    const moved = c.servers.map(({ orders }) => orders.length);
    await c.run(10_000);
    expect(c.servers.map(({ orders }) => orders.length)).toEqual(moved);
    for (const { usedBytes } of c.servers) expect(Math.abs(usedBytes - share)).toBeLessThanOrEqual(unevenBytes);
  });
});
