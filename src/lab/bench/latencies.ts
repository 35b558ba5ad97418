/** How long appends take, of 1 KiB: one at a time, and at a rate that leaves room. */
import { createHistogram } from 'node:perf_hooks';
import { contentsOf } from './contents.ts';
import { type Bench, connect, freshDirectory, openLogs, withClients } from './workloads.ts';

const writers = 8;
const nextRecord = contentsOf(1024);
/** Not counted: connections are made, and code is compiled. */
const warmUp = 300;
/**
 * The same for appends at a rate: as much of the time before the part that counts. Code that was compiled for the frames of full rate, of thirty
 * records each, is compiled anew for those of a few: for two seconds that is what stops servers most.
 */
const warmUpShare = 0.6;
const countedSeconds = 5;

/** One writer, the next record when the last one is acknowledged: the median in ms. */
export async function appendOneByOne(bench: Bench): Promise<number> {
  const client = await connect(bench);
  try {
    const path = `${await freshDirectory(client, 'one-by-one')}/log`;
    const [log] = await openLogs([client], path);
    const histogram = createHistogram();
    const count = Math.max(10, Math.round(3000 * bench.scale));
    for (let i = -warmUp; i < count; i++) {
      const startedAt = performance.now();
      await log!.recordAppend(nextRecord());
      if (i >= 0) histogram.record(microseconds(performance.now() - startedAt));
    }
    return histogram.percentile(50) / 1000;
  } finally {
    await client.close();
  }
}

/**
 * Appends by 8 writers to one file at a fixed rate for some seconds, each timed from the moment when it was due, so that a pause counts for
 * all that it held up: the 99th percentile in ms, without the first three seconds.
 * @param perSecond of all writers together.
 */
export async function appendAtRate(bench: Bench, perSecond: number): Promise<number> {
  return withClients(bench, writers, async (clients) => {
    const path = `${await freshDirectory(clients[0]!, 'at-rate')}/log`;
    const logs = await openLogs(clients, path);
    for (const log of logs) await log.recordAppend(nextRecord());
    const histogram = createHistogram();
    const count = Math.max(100, Math.round(perSecond * countedSeconds * bench.scale));
    const first = -Math.round(count * warmUpShare);
    const startedAt = performance.now();
    await new Promise<void>((allLanded, failed) => {
      let left = count - first;
      const begin = (n: number, dueAt: number): void => {
        // Nothing is kept of a record that has landed: to collect it would be counted as time of the appends.
        logs[(n - first) % writers]!.recordAppend(nextRecord()).then(() => {
          if (n >= 0) histogram.record(microseconds(performance.now() - dueAt));
          left -= 1;
          if (left === 0) allLanded();
        }, failed);
      };
      const beginDue = (next: number): void => {
        const due = Math.min(count, first + Math.ceil(((performance.now() - startedAt) / 1000) * perSecond));
        for (let n = next; n < due; n++) begin(n, startedAt + ((n - first) * 1000) / perSecond);
        if (due < count) setTimeout(beginDue, 1, due);
      };
      beginDue(first);
    });
    return histogram.percentile(99) / 1000;
  });
}

function microseconds(ms: number): number {
  return Math.max(1, Math.round(ms * 1000));
}
