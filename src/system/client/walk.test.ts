import { describe, expect, test } from 'vitest';
import { CairnError } from '../../core/base/errors.ts';
import type { CairnClient } from './client.ts';
import { FakeCluster } from './fake-cluster.test-support.ts';
import { workThrough } from './tree.ts';
import type { WalkOptions } from './walk.ts';

async function pathsOf(cluster: FakeCluster, client: CairnClient, path: string, options: WalkOptions = {}) {
  const found: string[] = [];
  const all = async () => {
    for await (const one of client.walk(path, options)) found.push(`${one.depth} ${one.path}`);
  };
  await cluster.run(all());
  return found;
}

async function tree(): Promise<{ cluster: FakeCluster; client: CairnClient }> {
  const cluster = await FakeCluster.start(1);
  const client = await cluster.client();
  for (const path of ['/a/b/c', '/a/d', '/e']) await cluster.run(client.mkdir(path, { recursive: true }));
  for (const path of ['/a/b/c/deep', '/a/b/x', '/a/z', '/top']) await cluster.run(client.writeFile(path, 'hello'));
  return { cluster, client };
}

describe('a walk', () => {
  test('shows each directory before what is in it, names in byte order', async () => {
    const { cluster, client } = await tree();
    expect(await pathsOf(cluster, client, '/')).toEqual([
      '0 /',
      '1 /a',
      '2 /a/b',
      '3 /a/b/c',
      '4 /a/b/c/deep',
      '3 /a/b/x',
      '2 /a/d',
      '2 /a/z',
      '1 /e',
      '1 /top',
    ]);
  });

  test('begins anywhere, at a file too, and goes no deeper than it is told', async () => {
    const { cluster, client } = await tree();
    expect(await pathsOf(cluster, client, '/a', { maxDepth: 1 })).toEqual(['0 /a', '1 /a/b', '1 /a/d', '1 /a/z']);
    expect(await pathsOf(cluster, client, '/top')).toEqual(['0 /top']);
    expect(await pathsOf(cluster, client, '/', { maxDepth: 0 })).toEqual(['0 /']);
    await expect(pathsOf(cluster, client, '/none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('of very many directories reads a few ahead, and no more', async () => {
    const cluster = await FakeCluster.start(2);
    const client = await cluster.client();
    for (let n = 0; n < 60; n++)
      await cluster.run(client.mkdir(`/d/${String(n).padStart(2, '0')}`, { recursive: true }));
    const walk = client.walk('/d');
    for (let n = 0; n < 3; n++) await cluster.run(walk.next());
    await cluster.world.run(1000);
    expect(cluster.master.counts.get('readdir')).toBeLessThanOrEqual(10);
    expect(await pathsOf(cluster, client, '/d')).toHaveLength(61);
  });

  test('goes as deep as a path can be', async () => {
    const cluster = await FakeCluster.start(3);
    const client = await cluster.client();
    const deepest = '/d'.repeat(2048);
    await cluster.run(client.mkdir(deepest, { recursive: true }));
    expect((await pathsOf(cluster, client, '/')).at(-1)).toBe(`2048 ${deepest}`);
  });

  test('tells of what no path leads to any more, and so do counting and looking at chunks', async () => {
    const cluster = await FakeCluster.start(4);
    const client = await cluster.client();
    const deepest = `/${'n'.repeat(250)}`.repeat(16);
    await cluster.run(client.writeFile(`${deepest}/below`, 'x', { parents: true }));
    await cluster.run(client.writeFile(`${deepest.slice(0, 15 * 251)}/${'f'.repeat(250)}`, 'x'));
    const last = `/${'z'.repeat(99)}`;
    await cluster.run(client.writeFile(`${last}/file`, 'x', { parents: true }));
    await cluster.run(client.rename(deepest.slice(0, 251), `${last}/${'m'.repeat(250)}`));
    await cluster.run(client.mkdir(`${last}/z`));
    const told: string[] = [];
    const onUnreached = (path: string, { code }: CairnError) => told.push(`${path.length} ${code}`);
    const found = await pathsOf(cluster, client, '/', { onUnreached });
    expect([found.length, found.at(-1)]).toEqual([1 + 1 + 1 + 16 + 1 + 1, `2 ${last}/z`]);
    expect(told.splice(0)).toEqual([`${100 + 16 * 251} NAME_TOO_LONG`]);
    expect(await cluster.run(client.usage('/', { onUnreached }))).toMatchObject({ files: 2, directories: 19 });
    expect(told.splice(0)).toHaveLength(1);
    const summary = await cluster.run(client.fsck('/', { onUnreached }));
    expect([summary.files, summary.unreached, told.length]).toEqual([1, 2, 2]);
    await expect(pathsOf(cluster, client, '/')).rejects.toMatchObject({ code: 'NAME_TOO_LONG' });
  });

  test('passes over what goes away meanwhile, and tells what else goes wrong', async () => {
    const { cluster, client } = await tree();
    cluster.master.before = (kind, request) => {
      const { path } = request as { path: string };
      if (kind === 'readdir' && path === '/a/b') throw new CairnError('NOT_FOUND', 'it was removed');
      if (kind === 'readdir' && path === '/e') throw new CairnError('NOT_SUPPORTED', 'something is wrong');
    };
    const found: string[] = [];
    const all = async () => {
      for await (const { path } of client.walk('/')) found.push(path);
    };
    await expect(cluster.run(all())).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
    expect(found).toEqual(['/', '/a', '/a/b', '/a/d', '/a/z', '/e']);
  });
});

test('a place may lead to more others than a call may have arguments', async () => {
  let seen = 0;
  await workThrough(['/'], 4, async (item) => {
    seen += 1;
    return item === '/' ? Array.from({ length: 200_000 }, (_, n) => `/${n}`) : [];
  });
  expect(seen).toBe(200_001);
});
