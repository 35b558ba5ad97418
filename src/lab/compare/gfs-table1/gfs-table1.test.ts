import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('the regions of Table 1', () => {
  it(
    'are consistent on all replicas in the mode strong, whatever happened; defined where nobody interfered, in each',
    slow,
    async () => {
      const { metric } = await quickly('gfs-table1');
      for (const operation of ['write', 'record append'])
        for (const circumstance of ['serial', 'concurrent', 'failing'])
          expect(
            metric('strong', `${operation}, ${circumstance}: inconsistent`).max,
            `${operation} ${circumstance}`,
          ).toBe(0);
      for (const mode of ['strong', 'gfs'])
        for (const operation of ['write', 'record append'])
          expect(metric(mode, `${operation}, serial: defined`).min, `${mode} ${operation}`).toBe(1);
    },
  );
});
