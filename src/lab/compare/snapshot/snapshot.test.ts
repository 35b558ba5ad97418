import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('a group under load', () => {
  it('makes its state durable and takes a new node in', slow, async () => {
    const { metric } = await quickly('snapshot');
    for (const engine of ['raft', 'paxos']) {
      expect(metric(engine, 'flush, 2000 keys').median).toBeGreaterThan(0);
      const writtenMB = metric(engine, 'disk writes of the leader during the flush, 2000 keys').median;
      expect(writtenMB).toBeGreaterThan(0.5); // 2000 values of 256 bytes
      expect(metric(engine, 'catch-up of a new node, 2000 keys').median).toBeGreaterThan(0);
      expect(metric(engine, 'catch-up of one that missed as many, 2000 keys').median).toBeGreaterThan(0);
      // Some writes were acknowledged meanwhile.
      expect(metric(engine, 'writes slower while one that missed as many returns, 2000 keys').median).toBeLessThan(1);
    }
  });
});
