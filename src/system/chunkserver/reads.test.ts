/** How reads share what room there is. */
import { expect, test } from 'vitest';
import { toChunkHandle } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { CallContext } from '../rpc/handlers.ts';
import { limitsDefault } from './limits.ts';
import { ReadHandler, type ReadWorld } from './reads.ts';

test('however many readers wait for room, what is queued for all is added up once at a time', async () => {
  const world = testWorld(1);
  const { env } = world.node('s1');
  const never = new Promise<never>(() => {});
  const reads = new ReadHandler({
    env,
    limits: limitsDefault,
    store: { readSummed: () => never },
    session: { mustBeValid: () => {} },
    inventory: { mustBeConfirmed: () => {} },
    activity: { note: () => {} },
    pool: { take: () => undefined },
  } as unknown as ReadWorld);
  let looks = 0;
  const contexts = Array.from({ length: 200 }, () => {
    const peer = {
      get queuedBytes() {
        looks += 1;
        return 0;
      },
    };
    return { peer } as unknown as CallContext;
  });
  const request = { handle: toChunkHandle(5), offset: 0, length: 1024 * 1024 };
  for (const context of contexts) for (const _ of [1, 2]) reads.begin(request, 0, context);
  looks = 0;
  await world.run(20); // ten ticks
  expect(looks).toBeGreaterThan(200);
  expect(looks).toBeLessThan(10 * 10 * 200);
});
