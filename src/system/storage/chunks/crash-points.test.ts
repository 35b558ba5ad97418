import { describe, expect, test } from 'vitest';
import { SimRandom } from '../../../platform/sim/random.ts';
import type { BadBlocksReport } from '../chunk-store.ts';
import { afterPowerLoss, type Loss, losses, MemoryDisk, testEnv } from '../memory-disk.test-support.ts';
import { smallOptions } from './chunk-store.test-support.ts';
import { Model } from './crash.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

/** Checkpoints come often enough to be met. */
const options = { ...smallOptions, checkpointJournalBytes: 200_000, checkpointBulkBytes: 400_000, checkpointChunks: 4 };

interface Point {
  /** Operations that the disk had done. */
  readonly operations: number;
  readonly model: Model;
}

/** Runs changes, a few at a time, and says after each operation of the disk what would have to be found. */
async function record(seed: number, changes: number): Promise<{ disk: MemoryDisk; points: Point[] }> {
  const random = SimRandom.fromSeed(seed);
  const disk = new MemoryDisk();
  const store = await openChunkStore(testEnv(disk), options);
  const isSmall = seed % 2 === 0;
  const model = new Model(random.fork('model'), isSmall ? 5 : 2, isSmall);
  const points: Point[] = [];
  disk.before = () => {
    points.push({ operations: disk.journal.length, model: model.copy() });
  };
  for (let done = 0; done < changes; ) {
    const together = Math.min(changes - done, 1 + random.below(3));
    await Promise.all(Array.from({ length: together }, () => model.change(store)));
    done += together;
  }
  await store.close();
  return { disk, points };
}

/** Besides those that treat all files alike: what came back from the cache early of one kind of file, and not of the other. */
function lossesOn(disk: MemoryDisk): Readonly<Record<string, Loss>> {
  const chunkFiles = new Set<number>();
  for (const operation of disk.journal) {
    if (operation.kind === 'create' && /\/(chunks|slabs)\//.test(operation.path)) chunkFiles.add(operation.inode);
  }
  const only = (keeps: (inode: number) => boolean): Loss => ({
    write: (bytes, inode) => (keeps(inode) ? bytes.length : 0),
    names: (pending) => pending,
  });
  return {
    ...losses,
    'of what was not synced, chunk files are kept': only((inode) => chunkFiles.has(inode)),
    'of what was not synced, chunk files are lost': only((inode) => !chunkFiles.has(inode)),
  };
}

async function checkPoint(disk: MemoryDisk, point: Point, loss: string): Promise<Model> {
  const { operations, model } = point;
  const env = testEnv(afterPowerLoss(disk.journal.slice(0, operations), lossesOn(disk)[loss]!));
  const reports: BadBlocksReport[] = [];
  const store = await openChunkStore(env, { ...options, badBlocks: (report) => void reports.push(report) });
  const found = model.copy();
  await found.check(store, { lostPower: loss !== 'everything is kept', mayRot: false }, reports);
  return found;
}

const seeds = Number(process.env.CAIRN_CRASH_SEEDS ?? 4);
const firstSeed = Number(process.env.CAIRN_CRASH_SEED ?? 1);
/** One in so many points is looked at, with one way to lose what was not synced. */
const stride = Number(process.env.CAIRN_CRASH_STRIDE ?? 4);

describe('a crash after any operation of the disk', () => {
  test('leaves what was acknowledged, whatever becomes of what was not synced', async () => {
    let rolledBack = 0;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const { disk, points } = await record(seed, 40);
      const names = Object.keys(lossesOn(disk));
      for (let i = seed % stride; i < points.length; i += stride) {
        const loss = names[Math.floor(i / stride) % names.length]!;
        const found = await checkPoint(disk, points[i]!, loss).catch((cause: unknown) => {
          const last = disk.journal[points[i]!.operations - 1];
          throw new Error(`seed ${seed}, after operation ${points[i]!.operations} (${last?.kind}), ${loss}`, { cause });
        });
        rolledBack += found.rolledBack;
      }
    }
    expect(rolledBack).toBeGreaterThan(0);
  });
});
