import { describe, expect, it } from 'vitest';
import { isRoot, quickly, slow } from '../quick.test-support.ts';

describe('failover', () => {
  it('tells how long nothing was acknowledged, and that nothing was lost', slow, async () => {
    const { metric, report } = await quickly('failover');
    // No follower may seek leadership before its time-out, less one heartbeat that was on its way.
    for (const engine of ['raft', 'paxos'])
      for (const fault of isRoot ? ['SIGKILL', 'SIGSTOP', 'partition'] : ['SIGKILL', 'SIGSTOP'])
        expect(metric(engine, `gap after ${fault}`).median, `${engine} ${fault}`).toBeGreaterThan(100);
    for (const engine of isRoot ? ['raft', 'paxos'] : [])
      for (const fault of ['quorum-loss', 'chained']) {
        expect(metric(engine, `gap after ${fault}`).median, `${engine} ${fault}`).toBeGreaterThan(0);
        // On a busy machine a quick partition may end before somebody else leads.
        expect(metric(engine, `rate in ${fault}`).median, `${engine} rate in ${fault}`).toBeGreaterThanOrEqual(0);
      }
    for (const { name } of report.subjects) expect(metric(name, 'acknowledged writes lost').max, name).toBe(0);
  });
});
