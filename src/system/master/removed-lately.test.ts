import { describe, expect, it } from 'vitest';
import { toChunkHandle, toChunkIndex, toChunkVersion, toInodeId } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { RemovedLately, removedKeptMax, removedKeptMs } from './removed-lately.ts';

const chunk = (sealed: boolean) => ({
  ...{ inode: toInodeId(5), index: toChunkIndex(0), version: toChunkVersion(1), sealed, length: 0 },
  ...{ servers: [], refs: 1 },
});

describe('open chunks that were removed lately', () => {
  it('are kept for a while and in a bounded number, the latest; sealed ones are not', async () => {
    const world = testWorld(1);
    const removed = new RemovedLately(world.node('m').env.clock);
    const handles = () => removed.all().map(({ handle }) => handle);
    removed.note(toChunkHandle(1), chunk(false));
    removed.note(toChunkHandle(2), chunk(true));
    await world.run(removedKeptMs - 1000);
    removed.note(toChunkHandle(3), chunk(false));
    expect(handles()).toEqual([1, 3]);
    await world.run(2000);
    expect(handles()).toEqual([3]);
    for (let n = 1; n <= removedKeptMax + 10; n++) removed.note(toChunkHandle(100 + n), chunk(false));
    expect(handles()).toHaveLength(removedKeptMax);
    expect(handles()[0]).toBe(111);
  });
});
