/** What a process has had written to its disk, from /proc: what went through the page cache counts when it is made dirty. */
import { readFileSync } from 'node:fs';

/** Bytes so far. */
export function writtenBytes(pid: number): number {
  const found = /^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'));
  return Number(found![1]);
}
