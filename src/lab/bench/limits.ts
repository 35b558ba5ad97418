/** What this machine's disk allows, measured in the same run: the yardstick beside our figures. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface DiskLimits {
  /** fdatasync of 4 KiB into a preallocated file, one after another. */
  readonly flushesPerSecond: number;
  /** 1 MiB writes, then one fdatasync. */
  readonly writeMBps: number;
  /** The same file, from the page cache. */
  readonly readMBps: number;
}

export function measureDisk(bytes: number): DiskLimits {
  const dir = mkdtempSync(join(tmpdir(), 'cairn-limits-'));
  try {
    return { flushesPerSecond: flushes(join(dir, 'flush')), ...streams(join(dir, 'stream'), bytes) };
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

function streams(path: string, bytes: number): { writeMBps: number; readMBps: number } {
  const fd = openSync(path, 'w+');
  const unit = Buffer.alloc(1024 * 1024, 2);
  const units = Math.max(1, Math.floor(bytes / unit.length));
  const pass = (work: (at: number) => void): number => {
    const startedAt = performance.now();
    for (let i = 0; i < units; i++) work(i * unit.length);
    return startedAt;
  };
  const rate = (startedAt: number) => (units * unit.length) / 1000 / (performance.now() - startedAt);
  const writing = pass((at) => writeSync(fd, unit, 0, unit.length, at));
  fdatasyncSync(fd);
  const writeMBps = rate(writing);
  const reading = pass((at) => readSync(fd, unit, 0, unit.length, at));
  const readMBps = rate(reading);
  closeSync(fd);
  return { writeMBps, readMBps };
}
