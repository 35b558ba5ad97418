/** `cairn find`, and reads from any master, as people and scripts meet them. */
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { program, type Ran, run as runProgram } from './command-line.test-support.ts';

/** Each verb is a process of its own: on a busy machine they take their time. */
vi.setConfig({ testTimeout: 60_000 });
let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.start({ program });
  const cairn = await CairnClient.start(nodeEnv({ dir: tmpdir() }), parseClusterUrl(cluster.url));
  for (const path of ['/logs/a', '/logs/b/empty', '/other']) await cairn.mkdir(path, { recursive: true });
  await cairn.writeFile('/logs/a/one.log', 'x'.repeat(5000));
  await cairn.writeFile('/logs/a/two.txt', 'x');
  await cairn.writeFile('/logs/b/three.log', '');
  await cairn.writeFile('/other/four.log', 'x'.repeat(100));
  await cairn.close();
}, 90_000);
afterAll(() => cluster?.stop(), 30_000);

function run(...args: string[]): Promise<Ran> {
  return runProgram(args, { env: { CAIRN_CLUSTER: cluster.url } });
}

async function found(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await run('find', ...args);
  expect({ code, stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
  return stdout.split('\n').slice(0, -1);
}

describe('cairn find', () => {
  it('shows all that is below, and what is asked for of it', async () => {
    expect(await found()).toHaveLength(10);
    expect(await found('/logs', '--name', '*.log')).toEqual(['/logs/a/one.log', '/logs/b/three.log']);
    expect(await found('/logs', '/other', '--larger', '99', '--newer', '1h')).toEqual([
      '/logs/a/one.log',
      '/other/four.log',
    ]);
    expect(await found('--path', '/logs/*t*', '--type', 'file')).toEqual(['/logs/a/two.txt', '/logs/b/three.log']);
    expect(await found('/logs', '--empty')).toEqual(['/logs/b/empty', '/logs/b/three.log']);
    expect(await found('--older', '1d')).toEqual([]);
    expect(await found('/', '--max-depth', '1')).toEqual(['/', '/logs', '/other']);
    expect(await found('/logs', '--limit', '2')).toEqual(['/logs', '/logs/a']);
    expect((await run('find', '/logs/a', '-0')).stdout).toBe('/logs/a\0/logs/a/one.log\0/logs/a/two.txt\0');
  });

  it('speaks JSON, a line each, with the fields of stat', async () => {
    const [line] = await found('--json', '--name', 'one*');
    const [stat] = (await run('stat', '--json', '/logs/a/one.log')).stdout.split('\n');
    expect(JSON.parse(line!)).toEqual(JSON.parse(stat!));
  });

  it('tells what it cannot do, and does the rest', async () => {
    const some = await run('find', '/none', '/other');
    expect(some).toMatchObject({ code: 4, stdout: '/other\n/other/four.log\n' });
    expect(some.stderr).toMatch(/^cairn: \[NOT_FOUND\] [^\n]*\/none[^\n]*\n$/);
    for (const wrong of [
      ['--name', '[a'],
      ['--older', 'soon'],
      ['--larger', '-1'],
      ['--max-depth', 'x'],
    ])
      expect(await run('find', ...wrong)).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('--stale', () => {
  it('says how old it is, and refuses what is older than allowed', async () => {
    const listed = await run('ls', '--stale', '/logs');
    expect(listed).toMatchObject({ code: 0, stdout: 'a/\nb/\n' });
    expect(listed.stderr).toMatch(/^as it was at most \d+\.\d s ago\n$/);
    const { stdout } = await run('stat', '--max-age', '5', '--json', '/logs/a/one.log');
    const shown = JSON.parse(stdout) as { size: number; ageMs: number };
    expect(shown.size).toBe(5000);
    expect(shown.ageMs).toBeLessThanOrEqual(5000);
    const refused = await run('find', '--max-age', '0.000001');
    expect(refused).toMatchObject({ code: 7, stdout: '' });
    expect(refused.stderr).toMatch(/\[TOO_OLD\]/);
  });
});
