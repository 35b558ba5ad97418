import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { Counters, countingEnv } from './counting.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cairn-counting-'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('what a member costs', () => {
  it('counts each flush, in the turn or out of it', async () => {
    const counters = new Counters();
    const { disk } = countingEnv(nodeEnv({ dir: root }), counters);
    const file = await disk.open('file', 'create');
    await file.sync();
    expect(counters.flushes).toBe(1);
    file.syncNow!();
    expect(counters.flushes).toBe(2);
    await file.close();
  });
});
