/** The cluster that a verb talks to. */
import { connect as connectTcp } from 'node:net';
import { CairnError } from '../../../core/base/errors.ts';
import { parseClusterUrl } from '../../../system/client/cluster-url.ts';
import { Cairn } from '../../library/client.ts';
import type { Invocation } from '../program.ts';
import { exitOnSignals } from './interrupt.ts';

/** Where `cairn up` puts its masters. The first is enough to find the others; they are asked only while it is down. */
const defaultCluster = 'cairn://127.0.0.1:7070,127.0.0.1:7071,127.0.0.1:7072';
/** Nobody listens at any address: for so long it may be a restart. */
const absentPatienceMs = 2000;
const absentPauseMs = 200;
const probeMs = 1000;

/** Connects as --cluster, CAIRN_CLUSTER or the default say, runs `work`, and closes in any case. */
export async function withCluster<T>(invocation: Invocation, work: (cairn: Cairn) => Promise<T>): Promise<T> {
  exitOnSignals();
  const named = invocation.cluster ?? (process.env.CAIRN_CLUSTER || undefined);
  const masters = await listening(parseClusterUrl(named ?? defaultCluster), invocation.deadlineMs);
  const url = `cairn://${(named === undefined ? masters.slice(0, 1) : masters).join(',')}`;
  const cairn = await Cairn.connect(url, { deadlineMs: invocation.deadlineMs });
  try {
    return await work(cairn);
  } finally {
    await cairn.close();
  }
}

/**
 * The addresses, those first where somebody listens.
 * @throws CairnError NO_QUORUM soon if nobody listens at any of them: the whole deadline would bring nothing
 */
async function listening(masters: readonly string[], deadlineMs = Number.POSITIVE_INFINITY): Promise<string[]> {
  const until = Date.now() + Math.min(absentPatienceMs, deadlineMs);
  for (;;) {
    const refusals = await Promise.all(masters.map(refusal));
    const there = masters.filter((_, n) => refusals[n] === undefined);
    if (there.length > 0) return [...there, ...masters.filter((address) => !there.includes(address))];
    if (Date.now() >= until)
      throw new CairnError(
        'NO_QUORUM',
        `no cluster answers at ${masters.join(', ')} (${refusals[0]}); start one with \`cairn up\`, or name yours with --cluster or CAIRN_CLUSTER`,
      );
    await new Promise((resolve) => setTimeout(resolve, absentPauseMs));
  }
}

/** Why nobody can be reached there; undefined if somebody can, or if that cannot be told yet. */
function refusal(address: string): Promise<string | undefined> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port: Number(address.slice(colon + 1)) });
    const done = (why: string | undefined): void => {
      socket.destroy();
      resolve(why);
    };
    socket.setTimeout(probeMs, () => done(undefined));
    socket.once('connect', () => done(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
}
