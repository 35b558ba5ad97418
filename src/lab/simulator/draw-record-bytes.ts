import type { StepMaker } from './step.ts';

/** Of the payload of one of `count` records. With its head a record is at most a quarter of a chunk. */
export function drawRecordBytes({ random, chunkBytes, largeRecordShare }: StepMaker, count: number): number {
  const most = Math.floor(chunkBytes / 4) - 64;
  return random.chance(largeRecordShare) ? random.between(1, Math.ceil(most / count)) : random.between(0, 300);
}
