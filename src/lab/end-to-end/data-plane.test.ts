/** What the masters do with files, on a real cluster: settings, file snapshots, copies that come and go, a chunkserver that is emptied. */
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { program, run as runProgram, until } from './command-line.test-support.ts';
import { noise } from './tree.test-support.ts';

/** Each verb is a process of its own: on a busy machine they take their time. */
vi.setConfig({ testTimeout: 60_000 });
const mebi = 1024 * 1024;
let cluster: LocalCluster;
let cairn: CairnClient;

beforeAll(async () => {
  cluster = await LocalCluster.start({ program, chunkservers: 4 });
  cairn = await connect();
}, 90_000);
afterAll(async () => {
  await cairn?.close();
  await cluster?.stop();
}, 30_000);

function connect(): Promise<CairnClient> {
  return CairnClient.start(nodeEnv({ dir: tmpdir() }), parseClusterUrl(cluster.url));
}
async function text(path: string, client = cairn): Promise<string> {
  return Buffer.from(await client.readFile(path)).toString();
}
async function run(...args: string[]): Promise<unknown[]> {
  const { code, stdout, stderr } = await runProgram([...args, '--json'], { env: { CAIRN_CLUSTER: cluster.url } });
  expect({ code, stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
  return stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}
async function codeOf(...args: string[]): Promise<string> {
  const { stderr } = await runProgram([...args, '--json'], { env: { CAIRN_CLUSTER: cluster.url } });
  return stderr === '' ? 'ok' : (JSON.parse(stderr) as { error: { code: string } }).error.code;
}

describe('settings', () => {
  it('are given to a directory, inherited, changed, and shown', async () => {
    await run('mkdir', '/set', '--mode', 'gfs', '--factor', '2', '--chunk-size', '1MiB');
    await cairn.writeFile('/set/file', 'bytes');
    expect(await run('stat', '/set/file')).toMatchObject([{ mode: 'gfs', replication: 2, chunkBytes: mebi }]);
    expect(await run('set', '/set/file', 'durability=disk', 'factor=3', 'min_replicas=2')).toMatchObject([
      { durability: 'disk', replication: 3, minReplicas: 2, mode: 'gfs' },
    ]);
    const refusals = [
      codeOf('set', '/set/file', 'chunk_size=2MiB'),
      codeOf('set', '/set/file', 'min_replicas=4'),
      codeOf('set', '/set/file', 'colour=red'),
      codeOf('set', '/set/none', 'factor=2'),
    ];
    expect(await Promise.all(refusals)).toEqual(['INVALID_ARGUMENT', 'INVALID_ARGUMENT', 'USAGE', 'NOT_FOUND']);
    expect(await text('/set/file')).toBe('bytes');
  });

  it('change the number of copies of what is there', async () => {
    await cairn.writeFile('/copies', noise(2, 3 * mebi), { replication: 2, chunkBytes: mebi });
    const copies = async () => {
      const { underReplicatedChunks, servers } = await cairn.status();
      return { short: underReplicatedChunks, needed: servers.reduce((sum, { needed }) => sum + needed, 0) };
    };
    const before = (await copies()).needed;
    await run('set', '/copies', 'factor=4');
    await until('there are four copies', async () => (await copies()).needed === before + 6);
    await run('set', '/copies', 'factor=1');
    await until('there is one copy', async () => (await copies()).needed === before - 3);
    expect(Buffer.compare(await cairn.readFile('/copies'), noise(2, 3 * mebi))).toBe(0);
  });
});

describe('a file snapshot', () => {
  it('is a copy at one moment of a tree that is being written, and both can be written afterwards', async () => {
    await cairn.mkdir('/live');
    await cairn.writeFile('/live/still', 'as it was');
    const log = await cairn.open('/live/log', 'a');
    let acknowledged = 0;
    let isOver = false;
    const writer = (async () => {
      for (; !isOver; acknowledged++) await log.recordAppend(Buffer.from(`${String(acknowledged).padStart(7)}\n`));
    })();
    await until('some is written', () => acknowledged > 100);
    const before = acknowledged;
    await run('snapshot', '/live', '/then');
    const after = acknowledged;
    const copied = await text('/then/log');
    await until('more is written', () => acknowledged > after + 100);
    isOver = true;
    await writer;
    await log.close();
    const numbers = copied.trimEnd().split('\n').map(Number);
    expect(numbers).toEqual(numbers.map((_, n) => n));
    expect(numbers.length).toBeGreaterThanOrEqual(before);
    expect(numbers.length).toBeLessThanOrEqual(after + 1);
    expect(await text('/then/log')).toBe(copied);
    expect((await text('/live/log')).trimEnd().split('\n').length).toBe(acknowledged);

    await cairn.writeFile('/then/still', 'changed here');
    await cairn.appendFile('/then/log', 'mine\n');
    expect(await text('/live/still')).toBe('as it was');
    expect(await text('/live/log')).not.toContain('mine');
    await cairn.rm('/live', { recursive: true });
    expect(await text('/then/log')).toBe(`${copied}mine\n`);
  });

  it('does not show a reader who has the file open what is written to the other', async () => {
    await cairn.writeFile('/first', 'before');
    await run('snapshot', '/first', '/second');
    const reader = await cairn.open('/first', 'r');
    const all = async () => {
      const into = new Uint8Array(10);
      const { bytesRead } = await reader.read(into, { position: 0 });
      return Buffer.from(into.subarray(0, bytesRead)).toString();
    };
    expect(await all()).toBe('before');
    const other = await connect();
    const writer = await other.open('/first', 'r+');
    await writer.write(Buffer.from('AFTER!'), { position: 0 });
    expect(await all()).toBe('AFTER!');
    expect(await text('/second', other)).toBe('before');
    await reader.close();
    await other.close();
  });

  it('takes the same time for many files, and is whole', async () => {
    await Promise.all(
      Array.from({ length: 20 }, async (_, d) => {
        for (let f = 0; f < 25; f++) await cairn.writeFile(`/many/d${d}/f${f}`, '', { parents: true });
      }),
    );
    const startedAt = performance.now();
    await cairn.fileSnapshot('/many', '/many-copy');
    expect(performance.now() - startedAt).toBeLessThan(2000);
    expect(await cairn.usage('/many-copy')).toMatchObject({ files: 500, directories: 21 });
  });

  it('is refused into itself, over what is there, and of what is not', async () => {
    await cairn.mkdir('/here');
    await cairn.writeFile('/taken', '');
    const refusals = [
      codeOf('snapshot', '/here', '/here/below'),
      codeOf('snapshot', '/here', '/taken'),
      codeOf('snapshot', '/nothing', '/copy'),
    ];
    expect(await Promise.all(refusals)).toEqual(['INTO_ITSELF', 'EXISTS', 'NOT_FOUND']);
  });
});

describe('the trash', () => {
  it('has what was removed, gives it back, and is emptied', async () => {
    await cairn.writeFile('/bin/one/file', 'kept', { parents: true });
    await run('rm', '-r', '/bin/one');
    await cairn.writeFile('/bin/two', 'gone', { parents: true });
    await run('rm', '--no-trash', '/bin/two');
    const listed = (await run('trash', 'ls')) as { id: number; path: string; kind: string }[];
    const mine = listed.filter(({ path }) => path.startsWith('/bin/'));
    expect(mine).toMatchObject([{ path: '/bin/one', kind: 'directory' }]);
    expect(await run('trash', 'restore', '/bin/one')).toEqual([{ restored: '/bin/one' }]);
    expect(await text('/bin/one/file')).toBe('kept');
    await cairn.rm('/bin', { recursive: true });
    expect(await run('trash', 'restore', '/bin', '/again')).toEqual([{ restored: '/again' }]);
    expect(await text('/again/one/file')).toBe('kept');
    await cairn.rm('/again', { recursive: true });
    const [emptied] = (await run('trash', 'empty')) as { removed: number }[];
    expect(emptied!.removed).toBeGreaterThanOrEqual(1);
    const refusals = [codeOf('trash', 'restore', '/bin'), codeOf('trash', 'dump'), codeOf('trash', 'empty', '99999')];
    expect(await Promise.all(refusals)).toEqual(['NOT_FOUND', 'USAGE', 'NOT_FOUND']);
  });
});

describe('a chunkserver that is drained', () => {
  it('is needed by no chunk in the end, gets no new one, and can be used again', async () => {
    for (let i = 0; i < 8; i++) await cairn.writeFile(`/drained/f${i}`, noise(i, 10_000), { parents: true });
    const told = (await run('drain', '4', '--wait')) as { server: number; state: string; needed: number }[];
    expect(told.at(-1)).toEqual({ server: 4, state: 'drained', needed: 0 });
    await cairn.writeFile('/drained/new', 'elsewhere');
    expect(await run('servers')).toMatchObject([
      { chunkservers: [{}, {}, {}, { id: 4, state: 'drained', needed: 0 }] },
    ]);
    for (let i = 0; i < 8; i++)
      expect(Buffer.compare(await cairn.readFile(`/drained/f${i}`), noise(i, 10_000))).toBe(0);
    expect(await run('drain', '4', '--undo')).toMatchObject([{ server: 4, state: 'healthy' }]);
    expect(await Promise.all([codeOf('drain', '77'), codeOf('drain', 'four')])).toEqual(['NOT_FOUND', 'USAGE']);
  });
});
