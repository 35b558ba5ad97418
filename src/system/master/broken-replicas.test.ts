import { expect, test } from 'vitest';
import { type ChunkHandle, toChunkHandle, toServerId } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { BrokenReplicas } from './broken-replicas.ts';
import type { LeaderWorld } from './leader-world.ts';
import type { ReplicaSets } from './replica-sets.ts';
import type { Sealing } from './sealing.ts';

const [one, two] = [1, 2].map(toServerId);

test('what many replicas are is looked at a few at a time when their server comes anew, and forgotten at once', async () => {
  const world = testWorld(1);
  const leader = {
    env: world.node('m').env,
    isStopped: false,
    tables: { chunk: () => ({ servers: [one, two] }) },
    servers: { get: () => ({ state: 'dead' }) },
  } as unknown as LeaderWorld;
  let noted = new Set<ChunkHandle>();
  const sets = { exclude: () => new Promise(() => {}) } as unknown as ReplicaSets;
  const broken = new BrokenReplicas(leader, {} as Sealing, sets, (handle) => noted.add(handle));
  const handles = Array.from({ length: 5000 }, (_, n) => toChunkHandle(n + 1));
  for (const handle of handles) broken.gone(handle, one!, 'damaged');
  expect(handles.every((handle) => broken.isLost(handle))).toBe(true);
  noted = new Set();
  broken.serverCame(one!);
  expect(noted.size).toBeLessThanOrEqual(500);
  expect(handles.some((handle) => broken.isLost(handle))).toBe(false);
  await world.run(10);
  expect(noted.size).toBe(handles.length);
  broken.stop();
});
