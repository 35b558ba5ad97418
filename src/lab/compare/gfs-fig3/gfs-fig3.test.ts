import { describe, expect, it } from 'vitest';
import { isRoot, quickly, slow } from '../quick.test-support.ts';

describe.skipIf(!isRoot)('the network of the GFS paper', () => {
  it('carries reads, writes and appends, and no more than its links', slow, async () => {
    const { metric } = await quickly('gfs-fig3');
    for (const operation of ['read', 'write', 'record append']) {
      const { median } = metric('cairn', `${operation} throughput 1 client`);
      expect(median, operation).toBeGreaterThan(0.5);
      // One client's link carries 12.5 MB/s: more would mean that the network bounds nothing.
      expect(median, operation).toBeLessThan(14);
    }
  });
});
