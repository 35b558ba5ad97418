import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, promises, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lockDirectory } from './directory-lock.ts';

let work: string;
let script: string;
let dir: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'cairn-lock-'));
  script = join(work, 'holder.mjs');
  // A process that locks its argument, says what came of it, and lives until its standard input ends.
  await build({
    stdin: {
      contents: `import { lockDirectory } from './directory-lock.ts';
        lockDirectory(process.argv[2]).then(() => console.log('held'), (error) => console.log(error.code));
        process.stdin.resume();`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: script,
    logLevel: 'silent',
  });
  return () => rmSync(work, { recursive: true, force: true });
});

beforeEach(() => {
  dir = mkdtempSync(join(work, 'dir-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function holder(): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const child = spawn(process.execPath, [script, dir], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const said = await new Promise<string>((resolve) =>
    child.stdout?.once('data', (line) => resolve(String(line).trim())),
  );
  return { child, said };
}

test('a directory is held by one process, until it lets go', async () => {
  const lock = await lockDirectory(dir);
  expect((await holder()).said).toBe('DIR_IN_USE');
  await lock.release();
  expect((await holder()).said).toBe('held');
});

test('who cannot look for others leaves nothing behind that would hold it', async () => {
  const failure = Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
  const readdir = vi.spyOn(promises, 'readdir').mockRejectedValueOnce(failure);
  await expect(lockDirectory(dir)).rejects.toMatchObject({ code: 'BUSY' });
  readdir.mockRestore();
  expect(readdirSync(dir)).toEqual([]);
  await (await lockDirectory(dir)).release();
});

test('who finds it held learns the process', async () => {
  const { child, said } = await holder();
  expect(said).toBe('held');
  await expect(lockDirectory(dir)).rejects.toMatchObject({
    code: 'DIR_IN_USE',
    message: expect.stringContaining(`process ${child.pid};`),
  });
});

test('the same process cannot take it twice', async () => {
  const lock = await lockDirectory(dir);
  await expect(lockDirectory(dir)).rejects.toMatchObject({ code: 'DIR_IN_USE' });
  await lock.release();
  await (await lockDirectory(dir)).release();
  expect(readdirSync(dir)).toEqual([]);
});

test('kill -9 releases it at once, and its remains are cleared away', async () => {
  const { child, said } = await holder();
  expect(said).toBe('held');
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  const lock = await lockDirectory(dir);
  expect(readdirSync(dir).length).toBe(1);
  await lock.release();
});

test('a stopped process keeps it', async () => {
  const { child, said } = await holder();
  expect(said).toBe('held');
  child.kill('SIGSTOP');
  await expect(lockDirectory(dir)).rejects.toMatchObject({ code: 'DIR_IN_USE' });
});

test('of many that come at one time no two hold it', async () => {
  for (let round = 0; round < 5; round++) {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(dir)));
    const held = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(held.length).toBeLessThanOrEqual(1);
    for (const outcome of held) await outcome.value.release();
  }
});

test('a path that is longer than a socket address is no obstacle', async () => {
  dir = join(dir, 'x'.repeat(100), 'y'.repeat(100));
  mkdirSync(dir, { recursive: true });
  const lock = await lockDirectory(dir);
  expect((await holder()).said).toBe('DIR_IN_USE');
  await lock.release();
  expect(readdirSync(dir)).toEqual([]);
});

test('a directory that is not there is NOT_FOUND', async () => {
  await expect(lockDirectory(join(dir, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
