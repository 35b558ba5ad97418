import { describe, expect, it } from 'vitest';
import type { Attributes } from '../../core/protocol/types.ts';
import { codeOf, TestMasters, testChunkBytes } from './cluster.test-support.ts';

async function openLog(seed: number) {
  const c = await TestMasters.start(seed);
  const { attributes } = await c.create('/log');
  const now = () => c.call('stat', { path: '/log' });
  const wait = ({ inode, size, chunkCount, tail }: Attributes, waitMs = 500) =>
    c.ask('awaitChange', { inode, known: { size, chunkCount, tailVersion: tail?.version }, waitMs });
  return { c, inode: attributes.inode, now, wait };
}

describe('waiting for a file to change', () => {
  it('is over at once when the file is not what was known', async () => {
    const { c, now, wait } = await openLog(1);
    const known = await now();
    const from = c.world.now;
    expect(await c.world.settle(wait({ ...known, chunkCount: 0 }))).toEqual({ attributes: known });
    expect(c.world.now - from).toBeLessThan(50);
  });

  it('ends with the next chunk, with a seal, with a new version, with the end of the file', async () => {
    const { c, inode, now, wait } = await openLog(2);
    const next = wait(await now());
    await c.acquire(inode, 1);
    expect((await c.world.settle(next)).attributes.chunkCount).toBe(2);

    const second = (await c.acquire(inode, 1)).grant;
    const sealed = wait(await now());
    c.write(second, 10);
    c.release(second, 10);
    expect((await c.world.settle(sealed)).attributes).toMatchObject({ tail: undefined, size: testChunkBytes + 10 });

    const opened = wait(await now());
    await c.acquire(inode, 1);
    expect((await c.world.settle(opened)).attributes.tail?.version).toBe(2);

    const gone = codeOf(wait(await now()));
    await c.call('remove', { id: c.id(), path: '/log', recursive: false });
    expect(await c.world.settle(gone)).toBe('STALE_HANDLE');
  });

  it('is over after the time that was asked for', async () => {
    const { c, now, wait } = await openLog(3);
    const known = await now();
    const from = c.world.now;
    expect(await c.world.settle(wait(known, 400))).toEqual({ attributes: known });
    expect(c.world.now - from).toBeGreaterThan(390);
    expect(c.world.now - from).toBeLessThan(500);
  });

  it('goes on at the next leader when the leader falls', async () => {
    const { c, now, wait } = await openLog(4);
    const known = await now();
    const waiting = wait(known);
    await c.run(100);
    c.crash(c.leader!);
    expect(await c.world.settle(waiting)).toEqual({ attributes: known });
  });
});
