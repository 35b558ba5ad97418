/** Processor time of everything that takes part in a benchmark: it says more than a rate does where others use the machine too. */
import { readFileSync } from 'node:fs';
import type { LocalCluster } from '../cluster/local-cluster.ts';

/** Linux counts in hundredths of a second for programs, whatever the kernel does. */
const tickUs = 10_000;

/** In µs, of the cluster's processes, of `others`, and of this one with the children that it has waited for. */
export function processorTimeUs({ processes, supervisorPid }: LocalCluster, others: readonly number[]): number {
  let ticks = 0;
  for (const pid of others) ticks += ticksOf(pid, false);
  for (const { pid } of processes) ticks += ticksOf(pid, false);
  return (ticks + ticksOf(supervisorPid, false) + ticksOf(process.pid, true)) * tickUs;
}

function ticksOf(pid: number, withChildren: boolean): number {
  // Behind the name, which may hold anything: state is field 3, utime 14, stime 15, cutime 16, cstime 17.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const of = (field: number) => Number(fields[field - 3]);
  return of(14) + of(15) + (withChildren ? of(16) + of(17) : 0);
}
