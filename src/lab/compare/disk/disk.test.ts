import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('disk', () => {
  it('makes each write wait for a slower flush', slow, async () => {
    const { metric } = await quickly('disk');
    for (const engine of ['raft', 'paxos'])
      expect(metric(`${engine} +10 ms`, 'p50 1 client').median).toBeGreaterThan(10);
  });
});
