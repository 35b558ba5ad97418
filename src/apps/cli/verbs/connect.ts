/** The cluster that a verb talks to. */
import { Cairn } from '../../library/client.ts';
import type { Invocation } from '../program.ts';

const defaultCluster = 'cairn://127.0.0.1:7070';

/** Connects as --cluster, CAIRN_CLUSTER or the default say, runs `work`, and closes in any case. */
export async function withCluster<T>(invocation: Invocation, work: (cairn: Cairn) => Promise<T>): Promise<T> {
  const cairn = await Cairn.connect(invocation.cluster ?? process.env.CAIRN_CLUSTER ?? defaultCluster);
  try {
    return await work(cairn);
  } finally {
    await cairn.close();
  }
}
