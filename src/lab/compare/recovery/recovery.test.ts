import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('a cluster that loses a server under appends', () => {
  it('loses nothing that was acknowledged, and never reads less, under either engine', slow, async () => {
    const { metric } = await quickly('recovery-consistency');
    for (const subject of ['strong, raft', 'strong, paxos'])
      for (const victim of ['chunkserver', 'master']) {
        expect(metric(subject, `acknowledged, ${victim} killed`).median).toBeGreaterThan(10);
        expect(metric(subject, `acknowledged and lost, ${victim} killed`).max).toBe(0);
        expect(metric(subject, `stale reads, ${victim} killed`).max).toBe(0);
      }
  });
});
