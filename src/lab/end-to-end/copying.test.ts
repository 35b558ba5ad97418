/** What `put`, `get`, `cp` and `mv` do where things are not plain files under names of their own. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { begin, program, type Ran, type Running } from './command-line.test-support.ts';
import { noise } from './tree.test-support.ts';

/** Each verb is a process of its own: on a busy machine they take their time. */
vi.setConfig({ testTimeout: 60_000 });
const mebi = 1024 * 1024;
const shell = promisify(execFile);
let scratch: string;
let cluster: LocalCluster;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-copying-'));
  cluster = await LocalCluster.start({ program });
}, 90_000);
afterAll(async () => {
  await cluster?.stop();
  rmSync(scratch, { recursive: true, force: true });
}, 30_000);

function beginHere(...args: string[]): Running {
  return begin(args, { cwd: scratch, env: { CAIRN_CLUSTER: cluster.url } });
}

function run(...args: string[]): Promise<Ran> {
  return beginHere(...args).ended;
}

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...args);
  expect({ code, stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
  return stdout;
}

describe('get', () => {
  it.each([
    ['small', mebi],
    ['large', 20 * mebi],
  ])('writes to a pipe: a %s file', async (name, bytes) => {
    const pipe = join(scratch, `pipe-${name}`);
    await shell('mkfifo', [pipe]);
    writeFileSync(join(scratch, name), noise(1, bytes));
    await ok('put', name, '/');
    const reading = shell('cat', [pipe], { encoding: 'buffer', maxBuffer: 2 * bytes });
    await ok('get', `/${name}`, pipe);
    expect((await reading).stdout.equals(readFileSync(join(scratch, name)))).toBe(true);
  });

  it('of a tree to where no directory can be made says so, and ends', async () => {
    await ok('mkdir', '-p', '/tree/sub');
    for (const target of ['/proc/none', '/proc/none/below']) {
      const getting = beginHere('get', '-r', '/tree', target);
      const patience = setTimeout(() => getting.child.kill('SIGKILL'), 20_000);
      const { code, stderr } = await getting.ended;
      clearTimeout(patience);
      expect(code).toBe(14);
      expect(stderr).toMatch(/\[LOCAL_IO\] cannot make the directory \/proc\/none/);
    }
  });
});

describe('two sources that go to one name', () => {
  it('do not replace each other: the second is refused', async () => {
    for (const directory of ['one', 'two']) {
      mkdirSync(join(scratch, directory));
      writeFileSync(join(scratch, directory, 'file'), directory);
      await ok('put', '-r', directory, '/');
    }
    await ok('mkdir', '/put', '/cp', '/mv');
    mkdirSync(join(scratch, 'get'));
    for (const [verb, first, second, to] of [
      ['put', 'one/file', 'two/file', '/put'],
      ['get', '/one/file', '/two/file', 'get'],
      ['cp', '/one/file', '/two/file', '/cp'],
      ['mv', '/one/file', '/two/file', '/mv'],
    ] as const) {
      const { code, stderr } = await run(verb, '--json', first, second, to);
      expect(code, stderr).toBe(5);
      expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'EXISTS', message: expect.stringContaining(first) } });
      const got = verb === 'get' ? readFileSync(join(scratch, 'get/file'), 'utf8') : await ok('cat', `${to}/file`);
      expect(got, verb).toBe('one');
    }
    expect(await ok('cat', '/two/file')).toBe('two');
  });
});
