import { expect, test } from 'vitest';
import type { Grant } from '../../core/protocol/types.ts';
import { blockBytes } from '../storage/chunk-store.ts';
import { codeOf, pattern, resize, TestCluster } from './cluster.test-support.ts';

const records = 13;

function record(n: number): Uint8Array {
  return pattern(50_000, n);
}

/** A primary that has more than its secondary begins to make it equal, and dies in the middle. */
async function half(seed: number, afterMs: number) {
  const cluster = await TestCluster.start(seed, 2, { recoveryStepBytes: blockBytes });
  const first = cluster.master.grant(5, [1, 2]);
  const append = (grant: Grant, n: number, since?: Grant['version']) =>
    cluster.client.append(grant, 1, n, [record(n)], since);
  await cluster.settle(append(first, 1));
  cluster.world.node('s2').pause();
  const asked = Array.from({ length: records - 1 }, (_, i) => codeOf(append(first, i + 2)));
  await cluster.world.run(100);
  const next = cluster.master.grant(5, [1, 2]);
  const other = codeOf(cluster.client.append(next, 2, 1, [pattern(100, 99)]));
  await cluster.world.run(1);
  cluster.world.node('s2').resume();
  await cluster.world.run(afterMs);
  cluster.kill(1);
  await cluster.settle(Promise.all([...asked, other]));
  await cluster.world.run(1500);
  return { cluster, first, append };
}

function countOf(content: Uint8Array, part: Uint8Array): number {
  const bytes = Buffer.from(content);
  let count = 0;
  for (let at = bytes.indexOf(part); at >= 0; at = bytes.indexOf(part, at + 1)) count += 1;
  return count;
}

test('half a copy of which nobody has the rest has whole records, each once, whatever is sent again', async () => {
  const halves = new Set<number>();
  for (let step = 0; step < 40; step++) {
    const { cluster, first, append } = await half(1, step / 2);
    const before = await cluster.settle(cluster.client.length(2, 5));
    const third = cluster.master.grant(5, [2]);
    const outcomes = [];
    for (let n = 1; n <= records; n++) outcomes.push(await cluster.settle(codeOf(append(third, n, first.version))));
    expect(outcomes).toEqual(outcomes.map(() => 'OK'));
    const content = await cluster.content(2, 5);
    for (let n = 1; n <= records; n++)
      expect([step, n, countOf(content, record(n)), countOf(content, record(n).subarray(0, 1000))]).toEqual([
        step,
        n,
        1,
        1,
      ]);
    halves.add(before ?? 0);
  }
  expect(halves.size).toBeGreaterThan(5);
}, 60_000);

test('a resize of which half a copy has a part is not taken for done', async () => {
  const wanted = records * 50_000;
  const halves = new Set<number | undefined>();
  for (let step = 0; step < 20; step++) {
    const cluster = await TestCluster.start(2, 2, { recoveryStepBytes: blockBytes });
    const first = cluster.master.grant(5, [1, 2]);
    await cluster.settle(cluster.client.append(first, 1, 1, [record(1)]));
    cluster.world.node('s2').pause();
    const asked: Promise<string>[] = [];
    for (let n = 2; n < 10; n++) {
      asked.push(codeOf(cluster.client.append(first, 1, n, [pattern(100, n)])));
      await cluster.world.run(5); // an order each: the resize waits for its turn
    }
    asked.push(codeOf(resize(cluster, first, 1, wanted)));
    await cluster.world.run(100);
    const next = cluster.master.grant(5, [1, 2]);
    asked.push(codeOf(cluster.client.append(next, 2, 1, [pattern(100, 99)])));
    await cluster.world.run(1);
    cluster.world.node('s2').resume();
    await cluster.world.run(step);
    cluster.kill(1);
    await cluster.settle(Promise.all(asked));
    await cluster.world.run(1500);
    halves.add(await cluster.settle(cluster.client.length(2, 5)));
    const third = cluster.master.grant(5, [2]);
    expect(await cluster.settle(codeOf(resize(cluster, third, 1, wanted, { since: first.version })))).toBe('OK');
    expect([step, await cluster.settle(cluster.client.length(2, 5))]).toEqual([step, wanted]);
  }
  expect(halves.size).toBeGreaterThan(3);
}, 60_000);
