/**
 * A file snapshot (GFS §3.4) of a tree with many files, 100,000 if no other number is asked for, while another client makes files: how long
 * the call takes, how long at most the other one waits meanwhile and while the copy is laid out, and that the copy is whole and can be written.
 */
import type { CairnClient } from '../../system/client/client.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { createFiles } from './namespace.ts';
import type { Benchmark } from './report.ts';
import type { SuiteOptions } from './suite.ts';
import { connect } from './workloads.ts';

const usualCount = 100_000;
const quickCount = 2000;
const filesPerDirectory = 1000;
/** The other client is watched for so long before, and from the call on. */
const watchMs = 3000;
const otherWriters = 8;

export async function treeSnapshot({ program, quick, count, say }: SuiteOptions): Promise<Benchmark[]> {
  const files = count ?? (quick ? quickCount : usualCount);
  const cluster = await LocalCluster.start({ program });
  const [client, other] = await Promise.all([connect({ cluster }), connect({ cluster })]);
  try {
    for (let made = 0; made < files; made += filesPerDirectory)
      await createFiles(client, `/tree/${made}`, Math.min(filesPerDirectory, files - made), say);
    say(`${files} files are there`);
    await client.writeFile('/tree/0/file-0', 'as it was');
    const quietMs = await longestCreateMs(other, '/other/before', pause);
    let callMs = 0;
    const meanwhileMs = await longestCreateMs(other, '/other/meanwhile', async () => {
      const startedAt = performance.now();
      await client.fileSnapshot('/tree', '/copy');
      callMs = performance.now() - startedAt;
      await changeCopy(client);
      await pause();
    });
    await requireWhole(client, files);
    const row = (name: string, value: number, goal?: number): Benchmark => ({
      name: `file snapshot of ${files} files: ${name}`,
      unit: 'ms',
      value,
      runs: [value],
      lowerIsBetter: true,
      ...(goal === undefined ? {} : { goal }),
    });
    return [
      row('the call', callMs, 100),
      row(`longest create of another client in ${watchMs / 1000} s from then on`, meanwhileMs, 500),
      row(`longest create in the ${watchMs / 1000} s before`, quietMs),
    ];
  } finally {
    await Promise.all([client.close(), other.close()]);
    await cluster.stop();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, watchMs));
}

/** The longest that one of some creates in a row took, from now until `during` is done. */
async function longestCreateMs(client: CairnClient, directory: string, during: () => Promise<void>): Promise<number> {
  await client.mkdir(directory, { recursive: true });
  let isOver = false;
  let longestMs = 0;
  const writer = async (worker: number): Promise<void> => {
    for (let i = 0; !isOver; i++) {
      const startedAt = performance.now();
      await (await client.open(`${directory}/${worker}-${i}`, 'wx')).close();
      longestMs = Math.max(longestMs, performance.now() - startedAt);
    }
  };
  const writers = Array.from({ length: otherWriters }, (_, worker) => writer(worker));
  await during().finally(() => {
    isOver = true;
  });
  await Promise.all(writers);
  return longestMs;
}

/** At once, before it can be laid out. */
async function changeCopy(client: CairnClient): Promise<void> {
  await client.writeFile('/copy/0/file-0', 'changed');
  await client.writeFile('/copy/0/new', 'new');
}

/** @throws Error if the copy is not the tree with its two changes, or the tree is not what it was */
async function requireWhole(client: CairnClient, files: number): Promise<void> {
  const has = async (path: string, text: string): Promise<void> => {
    const found = new TextDecoder().decode(await client.readFile(path));
    if (found !== text) throw new Error(`${path} has ${JSON.stringify(found)}, not ${JSON.stringify(text)}`);
  };
  await has('/tree/0/file-0', 'as it was');
  await has('/copy/0/file-0', 'changed');
  for (const [root, expected] of [
    ['/tree', files],
    ['/copy', files + 1],
  ] as const) {
    const { files: found } = await client.usage(root);
    if (found !== expected) throw new Error(`${root} has ${found} files, not ${expected}`);
  }
}
