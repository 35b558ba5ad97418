/** Processor time of any process, from /proc. */
import { readFileSync } from 'node:fs';

/** The kernel's unit in /proc/PID/stat: USER_HZ, which is 100 on every Linux that Node runs on. */
const msPerTick = 10;

/** User and system time of a process and all its threads so far, in ms; in steps of 10. 0 if it is gone. */
export function cpuMs(pid: number): number {
  const stat = readStat(pid);
  if (stat === undefined) return 0;
  // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th fields behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * msPerTick;
}

function readStat(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPERM') return true;
    return false;
  }
}
