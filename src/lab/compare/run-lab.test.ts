import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { begin, type Running, run, until } from '../end-to-end/command-line.test-support.ts';
import { isRoot, namespaces, slow } from './quick.test-support.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'lab-scratch-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  const children = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  return children === '' ? [] : children.split(' ').map(Number);
}

interface Interrupted {
  readonly lab: Running;
  readonly processes: readonly number[];
}

/** Three members and the load run, each perhaps in a network of its own. */
async function inTheMiddleOf(experiment: string): Promise<Interrupted> {
  const args = ['--runs', '1', '--seconds', '30', '--subjects', 'raft', '--scratch', scratch];
  const lab = begin(['lab', experiment, ...args]);
  let processes: number[] = [];
  const begun = until('the load runs', () => {
    processes = childrenOf(lab.child.pid!);
    return processes.length === 4;
  });
  const tooSoon = lab.ended.then(({ code, stderr }) => {
    if (processes.length < 4) throw new Error(`the lab ended before its load ran, with ${code}: ${stderr}`);
  });
  await Promise.race([begun, tooSoon]);
  return { lab, processes };
}

function networksOf(pid: number): string[] {
  const links = isRoot ? execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' }).split('\n') : [];
  return [
    ...namespaces().filter((name) => name.startsWith(`cairn-lab-${pid}-`)),
    ...links.filter((link) => link.startsWith(`cl${pid}-`)),
  ];
}

/** Links go a moment after the namespace that their other end is in: the kernel takes those down behind the call. */
function networksGone(pid: number): Promise<unknown> {
  return until('its networks are gone', () => networksOf(pid).length === 0, 5000);
}

describe.each(isRoot ? ['consensus', 'failover'] : ['consensus'])('%s, interrupted', (experiment) => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s leaves nothing', slow, async (signal, exitCode) => {
    const { lab, processes } = await inTheMiddleOf(experiment);
    if (experiment === 'failover') expect(networksOf(lab.child.pid!).length).toBeGreaterThan(3);
    lab.child.kill(signal);
    expect((await lab.ended).code).toBe(exitCode);
    await until('they are gone', () => !processes.some(isThere), 5000); // one that was just begun is killed, and not waited for
    expect(readdirSync(scratch)).toEqual([]);
    await networksGone(lab.child.pid!);
  });

  it('by SIGKILL takes its processes with it; the next lab removes the rest', slow, async () => {
    const { lab, processes } = await inTheMiddleOf(experiment);
    lab.child.kill('SIGKILL');
    await lab.ended;
    await until('they are gone', () => !processes.some(isThere), 5000);
    expect(readdirSync(scratch)).toHaveLength(1);
    const ran = await run(['lab', 'consensus', '--quick', '--subjects', 'none', '--scratch', scratch]);
    expect(ran.stderr).toMatch(/removed cairn-lab-\d+-/);
    expect(readdirSync(scratch)).toEqual([]);
    await networksGone(lab.child.pid!);
  });
});

describe('what cannot be', () => {
  it.each([
    [['--subjects', 'rfat'], 2, /\[USAGE\] there is no subject rfat here; there is raft, paxos/],
    [['--out', '/proc/none/below'], 14, /\[LOCAL_IO\] cannot make the directory \/proc\/none/],
  ])('%j is told before anything is measured', slow, async (words, code, says) => {
    const lab = begin(['lab', 'consensus', '--quick', '--scratch', scratch, ...words]);
    const patience = setTimeout(() => lab.child.kill('SIGKILL'), 20_000);
    const ran = await lab.ended;
    clearTimeout(patience);
    expect(ran.stderr).toMatch(says);
    expect(ran.code).toBe(code);
    expect(ran.stdout).toBe('');
  });
});

describe('an experiment of which a process dies', () => {
  it('says which, and leaves nothing', slow, async () => {
    const { lab, processes } = await inTheMiddleOf('consensus');
    process.kill(processes.at(-1)!, 'SIGKILL'); // the load is started last
    const { code, stderr } = await lab.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/the load (ended|does not run)/); // as it was asked something just then, or is to be
    expect(processes.filter(isThere)).toEqual([]);
    expect(readdirSync(scratch)).toEqual([]);
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
