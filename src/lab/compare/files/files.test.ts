import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('files', () => {
  it(
    'measures bulk bytes, small files, appends and the paper’s mixes, beside MooseFS where that is installed',
    slow,
    async () => {
      const { metric, report } = await quickly('files');
      for (const name of ['sequential write', 'sequential read', 'create 4 KiB, 8 clients', 'delete, 8 clients'])
        expect(metric('native client', name).median, name).toBeGreaterThan(1);
      for (const what of ['reads', 'writes and appends', 'master requests'])
        for (const cluster of ['X', 'Y'])
          expect(metric('native client', `${what} of the paper’s cluster ${cluster}`).median, what).toBeGreaterThan(1);
      const told = [...report.subjects.map(({ name }) => name), ...report.skipped.map(({ subject }) => subject)];
      expect(told.some((name) => name.startsWith('MooseFS'))).toBe(true);
      for (const name of ['append 1 KiB, 1 writer', 'append 1 KiB with fsync, 8 writers'])
        expect(metric('native client', name).median, name).toBeGreaterThan(1);
    },
  );
});
