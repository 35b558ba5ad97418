import { describe, expect, test } from 'vitest';
import type { SimNode } from '../../../platform/sim/node.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import type { SimWorld } from '../../../platform/sim/world.ts';
import type { BadBlocksReport, ChunkStore } from '../chunk-store.ts';
import { smallOptions } from './chunk-store.test-support.ts';
import { Model } from './crash.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

interface Life {
  readonly store: ChunkStore;
  readonly reports: BadBlocksReport[];
}

async function live(world: SimWorld, node: SimNode): Promise<Life> {
  const reports: BadBlocksReport[] = [];
  const options = { ...smallOptions, badBlocks: (report: BadBlocksReport) => void reports.push(report) };
  return { store: await world.settle(openChunkStore(node.env, options)), reports };
}

/** Changes run, a few at a time, until the machine dies. */
async function liveAndDie(world: SimWorld, node: SimNode, model: Model, life: Life, lostPower: boolean): Promise<void> {
  let underWay = 0;
  let failure: unknown;
  const spawn = (): void => {
    underWay++;
    model.change(life.store).then(
      () => underWay--,
      (thrown: unknown) => {
        failure ??= thrown;
      },
    );
  };
  const random = world.random.fork(`life ${world.eventCount}`);
  const changes = random.below(60);
  for (let i = 0; i < changes; i++) {
    while (underWay < 1 + random.below(4)) spawn();
    await world.run(random.next() * 3);
    if (failure !== undefined) throw failure;
  }
  if (random.chance(0.2)) await world.runUntil(() => underWay === 0);
  if (failure !== undefined) throw failure;
  node.crash({ loseUnsynced: lostPower });
  node.restart();
}

async function runSeed(seed: number, kinds: readonly boolean[]): Promise<Model> {
  const world = testWorld(seed);
  const node = world.node('server');
  const model = new Model(world.random.fork('model'), 6);
  let life = await live(world, node);
  for (let round = 0; round < 6; round++) {
    const lostPower = world.random.pick(kinds);
    await liveAndDie(world, node, model, life, lostPower);
    life = await live(world, node);
    await world.settle(model.check(life.store, lostPower, life.reports));
  }
  await world.settle(life.store.close());
  return model;
}

const seeds = Number(process.env.CAIRN_CRASH_SEEDS ?? 3);
const firstSeed = Number(process.env.CAIRN_CRASH_SEED ?? 1);

describe('whatever was under way when the process or the machine died', () => {
  test('a kill leaves everything acknowledged, each change whole or absent, and no block bad', async () => {
    let rolledBack = 0;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const model = await runSeed(seed, [false]).catch((cause: unknown) => {
        throw new Error(`seed ${seed}`, { cause });
      });
      rolledBack += model.rolledBack;
      expect(model.badBlocks).toBe(0);
    }
    expect(rolledBack).toBeGreaterThan(0);
  });

  test('a power loss leaves everything acknowledged with sync; blocks of bulk data that was not synced may be bad, never wrong', async () => {
    let badBlocks = 0;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const model = await runSeed(seed + 1_000_000, [true, true, false]).catch((cause: unknown) => {
        throw new Error(`seed ${seed}`, { cause });
      });
      badBlocks += model.badBlocks;
    }
    expect(badBlocks).toBeGreaterThan(0);
  });
});
