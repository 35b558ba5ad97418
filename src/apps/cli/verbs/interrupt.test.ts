/** Ctrl-C at the very moment at which something is begun. What ends a process ends this file's: the signal counts once. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { FakeCluster } from '../../../system/client/fake-cluster.test-support.ts';
import { Cairn } from '../../library/client.ts';
import { run as get } from './get.ts';

type Open = (...args: unknown[]) => Promise<FileHandle>;
const opening = vi.hoisted(() => ({ wrap: (open: Open): Open => open }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return { ...real, open: (...args: unknown[]) => opening.wrap(real.open as unknown as Open)(...args) };
});

let cluster: FakeCluster;
let scratch: string;
beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-interrupt-'));
  cluster = await FakeCluster.startOn(nodeEnv({ dir: scratch }));
});
afterEach(async () => {
  await cluster.stop();
  rmSync(scratch, { recursive: true });
});

test('a get that is interrupted while it makes its file leaves none', async () => {
  const url = `cairn://${cluster.master.address}`;
  const cairn = await Cairn.connect(url);
  await cairn.writeFile('/file', 'bytes');
  await cairn.close();
  let left: readonly string[] | undefined;
  const ended = new Promise<void>((exit) => vi.spyOn(process, 'exit').mockImplementation((() => exit()) as never));
  opening.wrap =
    (open) =>
    async (...args) => {
      process.emit('SIGINT');
      const file = open(...args); // the system was told before, and has not come to it until now
      await Promise.allSettled([file, ended]);
      left = readdirSync(scratch);
      return file;
    };
  const getting = get({
    args: ['/file', join(scratch, 'here')],
    options: { replace: true, parallel: 1 },
    ...{ cluster: url, deadlineMs: 5000, json: true },
  });
  await getting.catch(() => undefined); // a process that has ended tells nothing
  expect(left).toEqual([]);
});
