import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CairnError, type ErrorCode } from '../../../core/base/errors.ts';
import { copyAll } from './copying.ts';

const items = Array.from({ length: 100 }, (_, n) => ({ from: `${n}`, to: `/${n}`, size: 1 }));
let told = '';

beforeEach(() => {
  told = '';
  const tell = (text: unknown): boolean => {
    told += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(tell);
  vi.spyOn(process.stderr, 'write').mockImplementation(tell);
});
afterEach(() => void vi.restoreAllMocks());

async function copying(codeOf: (n: number) => ErrorCode | undefined): Promise<{ tried: number; error: unknown }> {
  let tried = 0;
  const error = await copyAll(items, [], { parallel: 4, json: true }, async ({ from }) => {
    tried += 1;
    const code = codeOf(Number(from));
    if (code !== undefined) throw new CairnError(code, 'it failed');
    return 1;
  }).catch((thrown: unknown) => thrown);
  return { tried, error };
}

describe('copying many files', () => {
  it('goes on after what one file fails for', async () => {
    const { tried, error } = await copying(() => 'DATA_LOST');
    expect(tried).toBe(100);
    expect(error).toMatchObject({ code: 'DATA_LOST', message: expect.stringMatching(/^100 files were not copied; /) });
  });

  it('begins no other when the cluster fails one after another, and tells how many that leaves', async () => {
    const { tried, error } = await copying((n) => (n < 10 ? undefined : n < 14 ? 'UNKNOWN_OUTCOME' : 'NO_QUORUM'));
    expect(tried).toBeLessThan(10 + 8 + 4);
    const message = expect.stringMatching(new RegExp(`^90 files were not copied, ${100 - tried} of them not tried `));
    expect(error).toMatchObject({ code: 'UNKNOWN_OUTCOME', message });
    expect(told).toContain('"files":10,"bytes":10,"failed":90,');
  });

  it('goes on where the cluster fails now and then', async () => {
    const { tried } = await copying((n) => (n % 5 === 0 ? undefined : 'DISK_FULL'));
    expect(tried).toBe(100);
  });
});
