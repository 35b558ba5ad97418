/** What a process takes, in bytes, as Linux sees it. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface Resident {
  /** All of it. */
  readonly bytes: number;
  /** What belongs to nothing but this process: heap, buffers, code; not the pages of mapped files. */
  readonly ownBytes: number;
}

export function residentOf(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytesOf = (name: string): number => {
    const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status);
    if (line === null) throw new Error(`process ${pid} has no ${name}`);
    return Number(line[1]) * 1024;
  };
  return { bytes: bytesOf('VmRSS'), ownBytes: bytesOf('RssAnon') };
}

/** That are taken on the disk, holes not counted. */
export function bytesBelow(dir: string): number {
  let sum = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) sum += statSync(join(entry.parentPath ?? entry.path, entry.name)).blocks * 512;
  }
  return sum;
}
