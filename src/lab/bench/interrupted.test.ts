import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const bench = fileURLToPath(new URL('../../../dist/bench.js', import.meta.url));

test('a benchmark that is interrupted takes its cluster and its data with it', { timeout: 60_000 }, async () => {
  const child = spawn(process.execPath, [bench, '--only', 'tree', '--count', '200'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', (...how) => resolve(how)));
  const supervisor = await new Promise<{ pid: number; dir: string }>((resolve, reject) => {
    child.once('exit', () => reject(new Error('it ended before there were files')));
    createInterface({ input: child.stderr }).once('line', () => resolve(supervisorOf(child.pid!)));
  });
  expect(existsSync(supervisor.dir)).toBe(true);
  child.kill('SIGTERM');
  expect(await ended).toEqual([143, null]);
  expect(existsSync(supervisor.dir)).toBe(false);
  await expect.poll(() => isThere(supervisor.pid), { timeout: 10_000 }).toBe(false);
});

/** The child of a benchmark is `cairn up`. */
function supervisorOf(pid: number): { pid: number; dir: string } {
  const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  const words = readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0');
  return { pid: child, dir: words[words.indexOf('--dir') + 1]! };
}

function isThere(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}
