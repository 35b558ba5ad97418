/** What a report says about the machine it was made on. */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../tool/project-root.ts';
import type { Report } from './report/report.ts';
import { median } from './report/statistics.ts';

/** File systems by the number that statfs tells; memory ones make every flush free. */
const fileSystems: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlayfs',
};
const flushesTried = 200;

/** @param scratch the directory whose disk the experiments use */
export function describeEnvironment(scratch: string): Report['environment'] {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  const { type } = statfsSync(scratch);
  return {
    cairn: version,
    node: process.version,
    system: `Linux ${release()} ${arch()}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    fileSystem: fileSystems[type] ?? `0x${type.toString(16)}`,
    flushMs: Number(medianFlushMs(scratch).toPrecision(3)),
    date: new Date().toISOString(),
  };
}

/** One fdatasync of 4 KiB in a file that has its size already. */
function medianFlushMs(dir: string): number {
  const path = join(dir, 'flush');
  const fd = openSync(path, 'w');
  try {
    const page = Buffer.alloc(4096, 1);
    writeSync(fd, page, 0, page.length, 0);
    fdatasyncSync(fd);
    const taken = Array.from({ length: flushesTried }, () => {
      writeSync(fd, page, 0, page.length, 0);
      const startedAt = performance.now();
      fdatasyncSync(fd);
      return performance.now() - startedAt;
    });
    return median(taken);
  } finally {
    closeSync(fd);
    rmSync(path);
  }
}
