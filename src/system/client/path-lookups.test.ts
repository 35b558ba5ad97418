import { expect, test } from 'vitest';
import type { CairnError } from '../../core/base/errors.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';
import { makeCore } from './make-core.ts';
import { PathLookups } from './path-lookups.ts';

test('many appends by path in one turn share two look-ups, and keep their order', async () => {
  const cluster = await FakeCluster.start(1);
  const client = await cluster.client();
  await cluster.run(client.recordAppend('/log', sample(64, 0)));
  cluster.master.counts.clear();
  const positions = await cluster.run(
    Promise.all(Array.from({ length: 300 }, (_, n) => client.recordAppend('/log', sample(64, n)))),
  );
  expect(positions).toEqual(Array.from({ length: 300 }, (_, n) => (n + 1) * 64));
  expect(cluster.master.counts.get('stat')).toBe(2);
});

async function lookupsOf(cluster: FakeCluster): Promise<PathLookups> {
  const { env } = cluster.world.node('lookups');
  return new PathLookups(await cluster.run(makeCore(env, [cluster.master.address], {})));
}

test('those who come while a look-up is under way share one that begins when it has ended: its answer may be older than they are', async () => {
  const cluster = await FakeCluster.start(1);
  const client = await cluster.client();
  await cluster.run(client.recordAppend('/log', sample(64, 0)));
  const lookups = await lookupsOf(cluster);
  cluster.master.counts.clear();
  let answer = () => {};
  cluster.master.before = () =>
    new Promise<void>((go) => {
      answer = go;
    });
  const first = lookups.find('/log');
  await cluster.world.run(100);
  const late = [lookups.find('/log'), lookups.find('/log')];
  await cluster.world.run(100);
  expect(cluster.master.counts.get('stat')).toBe(1);
  cluster.master.before = async () => {};
  answer();
  const opened = await cluster.run(Promise.all([first, ...late]));
  expect(opened[1]).toBe(opened[2]);
  expect(opened[1]!.asOf).toBeGreaterThan(opened[0]!.asOf);
  expect(cluster.master.counts.get('stat')).toBe(2);
});

test('a look-up that fails fails for those who share it, and not for those who come later', async () => {
  const cluster = await FakeCluster.start(1);
  const client = await cluster.client();
  const lookups = await lookupsOf(cluster);
  const settled = await cluster.run(Promise.allSettled(['/log', '/log', '/log'].map((path) => lookups.find(path))));
  const codes = settled.map((one) => (one.status === 'rejected' ? (one.reason as CairnError).code : one.status));
  expect(codes).toEqual(['NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND']);
  await cluster.run(client.recordAppend('/log', sample(64, 1)));
  expect((await cluster.run(lookups.find('/log'))).attributes.kind).toBe('file');
});
