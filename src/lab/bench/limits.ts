/** What this machine's disk allows, measured in the same run: the yardstick beside our figures. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDisk } from '../../platform/node/disk.ts';

const unitBytes = 1024 * 1024;
/** Units that are written or read at a time. */
const hands = 4;

export interface DiskLimits {
  /** fdatasync of 4 KiB into a preallocated file, one after another. */
  readonly flushesPerSecond: number;
  /** Units of 1 MiB, some at a time, past the page cache where the disk can do that; flushed at the end. */
  readonly writeMBps: number;
  readonly readMBps: number;
}

export async function measureDisk(bytes: number): Promise<DiskLimits> {
  const dir = mkdtempSync(join(tmpdir(), 'cairn-limits-'));
  try {
    return { flushesPerSecond: flushes(join(dir, 'flush')), ...(await streams(dir, bytes)) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function flushes(path: string): number {
  const fd = openSync(path, 'w');
  const page = Buffer.alloc(4096, 1);
  for (let i = 0; i < 256; i++) writeSync(fd, page, 0, page.length, i * page.length);
  fdatasyncSync(fd);
  const startedAt = performance.now();
  let done = 0;
  for (; performance.now() - startedAt < 500; done++) {
    writeSync(fd, page, 0, page.length, (done % 256) * page.length);
    fdatasyncSync(fd);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  closeSync(fd);
  return done / seconds;
}

/** A file written and read by several hands, each a unit at a time. */
async function streams(dir: string, bytes: number): Promise<Pick<DiskLimits, 'writeMBps' | 'readMBps'>> {
  const disk = nodeDisk(dir);
  const file = await disk.open('stream', 'createNew');
  const units = Math.max(1, Math.floor(bytes / unitBytes));
  const memory = Array.from({ length: hands }, () => disk.allocate(unitBytes));
  const pass = async (work: (at: number, unit: Uint8Array) => Promise<unknown>): Promise<number> => {
    const startedAt = performance.now();
    let next = 0;
    const hand = async (unit: Uint8Array) => {
      for (let n = next++; n < units; n = next++) await work(n * unitBytes, unit);
    };
    await Promise.all(memory.map(hand));
    await file.sync();
    return (units * unitBytes) / 1000 / (performance.now() - startedAt);
  };
  try {
    const writeMBps = await pass((at, unit) => file.write(at, [unit]));
    const readMBps = await pass((at, unit) => file.read(at, unit));
    return { writeMBps, readMBps };
  } finally {
    await file.close();
  }
}
