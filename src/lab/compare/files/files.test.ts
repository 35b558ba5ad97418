import { describe, expect, it } from 'vitest';
import { quickly, slow } from '../quick.test-support.ts';

describe('files', () => {
  it('measures bulk bytes, small files and appends', slow, async () => {
    const { metric } = await quickly('files');
    for (const name of ['sequential write', 'sequential read', 'create 4 KiB, 8 clients', 'delete, 8 clients'])
      expect(metric('native client', name).median, name).toBeGreaterThan(1);
    for (const name of ['append 1 KiB, 1 writer', 'append 1 KiB with fsync, 8 writers'])
      expect(metric('native client', name).median, name).toBeGreaterThan(1);
  });
});
