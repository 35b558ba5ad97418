import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('consensus', () => {
  it('reports writes and reads of each engine, as JSON and as a page', slow, async () => {
    const { metric, page, progress, report } = await quickly('consensus');
    expect(progress).toContain('round 1 of 1');
    for (const engine of ['raft', 'paxos']) {
      for (const name of ['writes/s 1 client', 'writes/s 16 clients', 'linearizable read reads/s 16 clients'])
        expect(metric(engine, name).median, name).toBeGreaterThan(10);
      // Each write is on a majority's disks before it is acknowledged, and one client cannot share a flush.
      expect(metric(engine, 'flushes 1 client').median).toBeGreaterThan(1.9);
    }
    // A peer is measured, or it is told why not.
    const told = [...report.subjects.map(({ name }) => name), ...report.skipped.map(({ subject }) => subject)];
    expect(told).toEqual(expect.arrayContaining(['etcd', 'zookeeper']));
    expect(page).toContain('<h1>consensus</h1>');
    expect(page).not.toMatch(/(src|href)="(?!data:)/);
  });
});
