import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { begin, run, until } from '../end-to-end/command-line.test-support.ts';
import { slow } from './quick.test-support.ts';

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'lab-scratch-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

describe('an experiment that does not end as it should', () => {
  it.each(['SIGINT', 'SIGKILL'] as const)('takes its processes with it on %s', slow, async (signal) => {
    const lab = begin(['lab', 'consensus', '--runs', '1', '--seconds', '30', '--scratch', scratch]);
    let processes: number[] = [];
    await until('the load runs', () => {
      processes = childrenOf(lab.child.pid!);
      return processes.length === 4; // three members and the load
    });
    lab.child.kill(signal);
    const { code } = await lab.ended;
    expect(code).toBe(signal === 'SIGINT' ? 130 : null);
    await until('they are gone', () => processes.every((pid) => !isThere(pid)), 5000);
    if (signal === 'SIGINT') expect(readdirSync(scratch)).toEqual([]);
  });

  it('leaves at most a directory, which the next one removes', slow, async () => {
    expect(readdirSync(scratch)).toHaveLength(1);
    const ran = await run(['lab', 'consensus', '--quick', '--subjects', 'none', '--scratch', scratch]);
    expect(ran.stderr).toMatch(/removed cairn-lab-\d+-/);
    expect(readdirSync(scratch)).toEqual([]);
  });
});

describe('what cannot be run', () => {
  it.each([
    [['lab', 'nothing'], 2, 'there is no experiment nothing'],
    [['lab', 'consensus', '--clients', 'many'], 2, 'whole number'],
  ])('%j is refused', async (args, code, says) => {
    const ran = await run(args);
    expect(ran.code).toBe(code);
    expect(ran.stderr).toContain(says);
  });
});

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
