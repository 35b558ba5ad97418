import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('a group under load', () => {
  it('replaces one of its voters, and a majority of them', slow, async () => {
    const { metric } = await quickly('membership');
    for (const engine of ['raft', 'paxos'])
      for (const change of ['replace one', 'replace a majority']) {
        // New voters start empty: the leader sends them 1000 values of 256 bytes at least.
        expect(metric(engine, `sent by the leader meanwhile, ${change}`).median, change).toBeGreaterThan(0.25);
      }
  });
});
