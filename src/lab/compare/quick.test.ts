import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { begin, run, until } from '../end-to-end/command-line.test-support.ts';
import type { Report } from './report/report.ts';

/** A second or three on a free machine; tests share theirs. */
const slow = { timeout: 120_000 };
const isRoot = process.getuid?.() === 0;
let dir: string;
let scratch: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'lab-test-'));
  scratch = mkdtempSync(join(tmpdir(), 'lab-scratch-'));
});
afterAll(() => {
  for (const path of [dir, scratch]) rmSync(path, { recursive: true, force: true });
});

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

describe('a quick run', () => {
  it(
    'of consensus reports writes and reads of each engine, as JSON and as a page, and leaves nothing behind',
    slow,
    async () => {
      const ran = await run(['lab', 'consensus', '--quick', '--json', '--out', dir, '--scratch', scratch]);
      expect(ran.stderr).toContain('round 1 of 1: raft');
      expect(ran.code, ran.stderr).toBe(0);
      const report = JSON.parse(ran.stdout) as Report;
      expect(JSON.parse(readFileSync(join(dir, 'consensus/report.json'), 'utf8'))).toEqual(report);
      const raft = report.subjects.find(({ name }) => name === 'raft')!;
      for (const name of ['writes/s 1 client', 'writes/s 16 clients', 'linearizable read reads/s 16 clients'])
        expect(raft.metrics[name]?.median, name).toBeGreaterThan(10);
      // Each write is on a majority's disks before it is acknowledged, and one client cannot share a flush.
      expect(raft.metrics['flushes 1 client']!.median).toBeGreaterThan(1.9);
      const page = readFileSync(join(dir, 'consensus/report.html'), 'utf8');
      expect(page).toContain('<h1>consensus</h1>');
      expect(page).not.toMatch(/(src|href)="(?!data:)/);
      expect(readdirSync(scratch)).toEqual([]);
    },
  );

  it('of failover tells how long nothing was acknowledged, and that nothing was lost', slow, async () => {
    const ran = await run(['lab', 'failover', '--quick', '--json', '--scratch', scratch]);
    expect(ran.code, ran.stderr).toBe(0);
    const { subjects } = JSON.parse(ran.stdout) as Report;
    const { metrics } = subjects.find(({ name }) => name === 'raft')!;
    for (const fault of isRoot ? ['SIGKILL', 'SIGSTOP', 'partition'] : ['SIGKILL', 'SIGSTOP']) {
      // No follower may seek leadership before its time-out, less one heartbeat that was on its way.
      expect(metrics[`gap after ${fault}`]!.median, fault).toBeGreaterThan(100);
    }
    for (const { name, metrics } of subjects) expect(metrics['acknowledged writes lost']!.max, name).toBe(0);
    expect(
      existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith('cairn-lab')) : [],
    ).toEqual([]);
  });
});

describe('the transports', () => {
  it('all give the right answer, none fails', slow, async () => {
    const ran = await run(['lab', 'transport', '--quick', '--json', '--scratch', scratch]);
    expect(ran.code, ran.stderr).toBe(0);
    const { subjects } = JSON.parse(ran.stdout) as Report;
    expect(subjects.map(({ name }) => name)).toEqual([
      'framed TCP',
      'framed TCP, own codec',
      'HTTP/1.1 + JSON',
      'HTTP/1.1 + JSON, no keep-alive',
      'gRPC unary',
      'gRPC unary, light client',
      'gRPC streaming',
      'gRPC-Web',
    ]);
    for (const { name, metrics } of subjects) {
      expect(metrics['calls/s']!.median, name).toBeGreaterThan(10);
      expect(metrics.errors!.max, name).toBe(0);
    }
  });
});

describe.skipIf(!isRoot)('the network of the GFS paper', () => {
  it('carries reads, writes and appends, and no more than its links', slow, async () => {
    const ran = await run(['lab', 'gfs-fig3', '--quick', '--json', '--scratch', scratch]);
    expect(ran.code, ran.stderr).toBe(0);
    const { subjects } = JSON.parse(ran.stdout) as Report;
    const { metrics } = subjects.find(({ name }) => name === 'cairn')!;
    for (const operation of ['read', 'write', 'record append'])
      expect(metrics[`${operation} throughput 1 client`]!.median, operation).toBeGreaterThan(0.5);
    // One client's link carries 12.5 MB/s: more would mean that the network does not bound anything.
    for (const operation of ['read', 'write', 'record append'])
      expect(metrics[`${operation} throughput 1 client`]!.median, operation).toBeLessThan(14);
    expect(readdirSync('/run/netns').filter((name) => name.startsWith('cairn-lab'))).toEqual([]);
  });
});

describe('a group under load', () => {
  it('makes its state durable and takes a new node in', slow, async () => {
    const ran = await run(['lab', 'snapshot', '--quick', '--json', '--scratch', scratch]);
    expect(ran.code, ran.stderr).toBe(0);
    for (const { name, metrics } of (JSON.parse(ran.stdout) as Report).subjects) {
      expect(metrics['flush, 2000 keys']!.median, name).toBeGreaterThan(0);
      expect(metrics['disk writes of the leader during the flush, 2000 keys']!.median, name).toBeGreaterThan(0.5); // 2000 × 256 B
      expect(metrics['catch-up of a new node, 2000 keys']!.median, name).toBeGreaterThan(0);
    }
  });

  it('replaces one of its voters, and a majority of them', slow, async () => {
    const ran = await run(['lab', 'membership', '--quick', '--json', '--scratch', scratch]);
    expect(ran.code, ran.stderr).toBe(0);
    const { subjects } = JSON.parse(ran.stdout) as Report;
    expect(subjects.map(({ name }) => name)).toEqual(['raft', 'paxos']);
    for (const { name, metrics } of subjects)
      for (const change of ['replace one', 'replace a majority'])
        expect(metrics[`sent by the leader meanwhile, ${change}`]!.median, `${name} ${change}`).toBeGreaterThan(0.25);
  });
});

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
