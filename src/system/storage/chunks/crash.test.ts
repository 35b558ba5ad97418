import { describe, expect, test } from 'vitest';
import type { DiskImage } from '../../../platform/sim/disk-image.ts';
import type { SimNode } from '../../../platform/sim/node.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import type { SimWorld } from '../../../platform/sim/world.ts';
import type { BadBlocksReport, ChunkStore, ChunkStoreOptions } from '../chunk-store.ts';
import { smallOptions } from './chunk-store.test-support.ts';
import { Model } from './crash.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

interface Life {
  readonly store: ChunkStore;
  readonly reports: BadBlocksReport[];
}

interface Scenario {
  /** Whether a life ends by loss of power; one of these each time. */
  readonly losesPower: readonly boolean[];
  /** Makes the disk of a life a bad one. */
  readonly harm?: (disk: DiskImage, random: SimRandom) => void;
  readonly mayRot?: boolean;
  readonly chunks?: number;
  /** Of one life, at most. */
  readonly steps?: number;
  readonly more?: Partial<ChunkStoreOptions>;
}

/** The chunk files are flushed behind their writes never, or often. */
const rarely = 4 * 1024 * 1024;
const often = 96 * 1024;

async function live(world: SimWorld, node: SimNode, more: Partial<ChunkStoreOptions>): Promise<Life> {
  const reports: BadBlocksReport[] = [];
  const options = {
    ...smallOptions,
    flushBehindBytes: rarely,
    ...more,
    badBlocks: (report: BadBlocksReport) => void reports.push(report),
  };
  return { store: await world.settle(openChunkStore(node.env, options)), reports };
}

/** Changes run, a few at a time, until the machine dies. */
async function liveAndDie(world: SimWorld, model: Model, life: Life, steps: number): Promise<void> {
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
  const changes = random.below(steps);
  for (let i = 0; i < changes; i++) {
    while (underWay < 1 + random.below(4)) spawn();
    await world.run(random.next() * 3);
    if (failure !== undefined) throw failure;
  }
  if (random.chance(0.2)) await world.runUntil(() => underWay === 0);
  if (failure !== undefined) throw failure;
}

async function runSeed(
  seed: number,
  { losesPower, harm, mayRot = false, chunks = 6, steps = 50, more = {} }: Scenario,
): Promise<Model> {
  const world = testWorld(seed);
  const node = world.node('server');
  const model = new Model(world.random.fork('model'), chunks, chunks > 6 || seed % 2 === 0);
  let life = await live(world, node, more);
  for (let round = 0; round < 5; round++) {
    const lostPower = world.random.pick(losesPower);
    harm?.(node.disk, world.random);
    await liveAndDie(world, model, life, steps);
    node.crash({ loseUnsynced: lostPower });
    node.disk.healFaults();
    node.restart();
    life = await live(world, node, more);
    await world.settle(model.check(life.store, { lostPower, mayRot }, life.reports));
  }
  await world.settle(life.store.close());
  return model;
}

/** The sum of what the seeds met; a failure names its seed. */
async function runSeeds(
  scenario: Scenario,
  count = seeds,
): Promise<{ rolledBack: number; badBlocks: number; refused: number }> {
  const met = { rolledBack: 0, badBlocks: 0, refused: 0 };
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const model = await runSeed(seed, scenario).catch((cause: unknown) => {
      throw new Error(`seed ${seed}`, { cause });
    });
    met.rolledBack += model.rolledBack;
    met.badBlocks += model.badBlocks;
    met.refused += model.refused;
  }
  return met;
}

const seeds = Number(process.env.CAIRN_CRASH_SEEDS ?? 2);
const firstSeed = Number(process.env.CAIRN_CRASH_SEED ?? 1);

/** The chunks' bytes, wherever they are. */
function isContent(path: string): boolean {
  return path.includes('/chunks/') || path.includes('/slabs/');
}

describe('whatever was under way when the process or the machine died', () => {
  test('a kill leaves everything acknowledged, each change whole or absent, and no block bad', async () => {
    const met = await runSeeds({ losesPower: [false] });
    expect(met.rolledBack).toBeGreaterThan(0);
    expect(met).toMatchObject({ badBlocks: 0, refused: 0 });
  });

  test('a power loss leaves what was acknowledged with sync; bulk data that was not may be bad, never wrong', async () => {
    const met = await runSeeds({ losesPower: [true, true, false] }, 4 * seeds);
    expect(met.badBlocks).toBeGreaterThan(0);
    expect(met.refused).toBe(0);
  });

  test('so it is where chunk files are flushed while they are written', async () => {
    const met = await runSeeds({ losesPower: [true, true, false], more: { flushBehindBytes: often } });
    expect(met.refused).toBe(0);
  });

  test('so it is where a checkpoint has more chunks, and cleans more of them, than it does in a turn', async () => {
    const met = await runSeeds({
      losesPower: [true, false],
      chunks: 150,
      steps: 200,
      more: { checkpointChunks: 16, metadataSegmentBytes: 1024 },
    });
    expect(met.rolledBack).toBeGreaterThan(0);
    expect(met.refused).toBe(0);
  });

  test('writes to chunk files that fail or a disk that is full refuse the change and leave the chunk as it was', async () => {
    const met = await runSeeds({
      losesPower: [false, true],
      harm: (disk, random) => {
        disk.mayStrike = isContent;
        disk.faultRates.writeError = random.pick([0, 0.02]);
        if (random.chance(0.5)) disk.capacityBytes = disk.usedBytes + random.below(1_500_000);
      },
    });
    expect(met.refused).toBeGreaterThan(0);
  });

  test('no write to a chunk file that is lost, torn or misdirected is ever served as good', async () => {
    const met = await runSeeds({
      losesPower: [false, true],
      mayRot: true,
      harm: (disk) => {
        disk.mayStrike = isContent;
        disk.faultRates.lostWrite = 0.02;
        disk.faultRates.tornWrite = 0.02;
        disk.faultRates.misdirectedWrite = 0.02;
      },
    });
    expect(met.badBlocks).toBeGreaterThan(0);
  });

  test('a sync or a journal that fails ends the changes, and what was acknowledged stays', async () => {
    const met = await runSeeds({
      losesPower: [false, true],
      harm: (disk, random) => {
        const folder = random.pick(['/chunks/', '/slabs/', '/journal/', '/metadata/']);
        disk.mayStrike = (path) => path.includes(folder);
        disk.faultRates.syncError = 0.03;
        disk.faultRates.writeError = isContent(folder) ? 0 : 0.01;
      },
    });
    expect(met.refused).toBeGreaterThan(0);
  });
});
