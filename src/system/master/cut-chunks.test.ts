import { describe, expect, it } from 'vitest';
import { toChunkHandle, toChunkIndex, toChunkVersion, toInodeId, toServerId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { codeOf } from './cluster.test-support.ts';
import { CutChunks } from './cut-chunks.ts';
import type { LeaderWorld } from './leader-world.ts';
import { MapStore } from './state/map-store.test-support.ts';
import { Tables } from './state/tables.ts';

const file = toInodeId(3);
const chunk = {
  ...{ inode: file, index: toChunkIndex(0), version: toChunkVersion(1), sealed: false, length: 10 },
  ...{ servers: [toServerId(1)], refs: 1 },
};

describe('chunks that were cut off', () => {
  it('are not taken for closed because their primary was not heard of by a master that leads no more', async () => {
    const { env } = testWorld(1).node('m');
    let leads = true;
    const world = {
      env,
      tables: new Tables(new MapStore()),
      servers: { hasSession: () => false },
      barrier: async () => {
        if (!leads) throw new CairnError('NOT_LEADER', 'another has led since');
      },
    } as unknown as LeaderWorld;
    const cut = new CutChunks(world);
    cut.removed(toChunkHandle(1), chunk);
    expect(await codeOf(cut.closed(file))).toBe('ok');
    leads = false;
    cut.removed(toChunkHandle(2), chunk);
    expect(await codeOf(cut.closed(file))).toBe('NOT_LEADER');
  });
});
