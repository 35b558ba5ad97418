/** Figure 3 of the GFS paper: its limits, its figures as far as its text tells them, and its picture with Cairn in it. */
import type { Findings } from '../report/findings.ts';
import type { WorkPlan } from './client.ts';

export const operations = ['read', 'write', 'record append'] as const satisfies readonly WorkPlan['operation'][];

/** MB/s that one link of 100 Mbit/s carries, and the trunk. */
const linkMBps = 12.5;
const trunkMBps = 125;
const copies = 3;

/** MB/s by number of clients, from §6.1. */
export const paper: Readonly<Record<WorkPlan['operation'], Readonly<Record<number, number>>>> = {
  read: { 1: 10, 16: 94 },
  write: { 1: 6.3, 16: 35 },
  'record append': { 1: 6, 16: 4.8 },
};

/** What the network allows: each client's link, the trunk, and for mutations the links of those that take three copies. */
export function limitOf(
  operation: WorkPlan['operation'],
  clients: number,
  { scale, chunkservers }: { readonly scale: number; readonly chunkservers: number },
): number {
  switch (operation) {
    case 'read':
      return scale * Math.min(clients * linkMBps, trunkMBps, chunkservers * linkMBps);
    case 'write':
      return scale * Math.min(clients * linkMBps, (chunkservers * linkMBps) / copies);
    case 'record append':
      return scale * linkMBps;
  }
}

export function metricOf(operation: WorkPlan['operation'], clients: number, what: string): string {
  return `${operation} ${what} ${clients} ${clients === 1 ? 'client' : 'clients'}`;
}

export function drawFigure3(findings: Findings, clients: readonly number[], scale: number): void {
  const subjects = [
    ['limit', 'network limit'],
    ['GFS 2003', 'GFS, 2003'],
    ['cairn', 'Cairn'],
  ] as const;
  for (const operation of operations)
    findings.chart({
      kind: 'lines',
      title: `${operation === 'read' ? 'Reads' : operation === 'write' ? 'Writes' : 'Record appends'}${scale === 1 ? '' : `, network at ${scale} of the paper’s`}`,
      x: { label: 'clients', scale: 'linear' },
      y: { label: 'MB/s, all clients together', scale: 'linear' },
      series: subjects.map(([subject, name]) => ({
        name,
        points: clients.flatMap((count) => {
          const rate = findings.median(subject, metricOf(operation, count, 'throughput'));
          return rate === undefined ? [] : [[count, rate] as const];
        }),
      })),
    });
}
