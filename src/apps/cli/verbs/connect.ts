/** The cluster that a verb talks to. */
import { connect as connectTcp } from 'node:net';
import { type Address, toAddress } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { parseClusterUrl } from '../../../system/client/cluster-url.ts';
import { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { exitOnSignals } from './interrupt.ts';

/** Where `cairn up` puts its masters. The first is asked; it knows the others, and they are asked only where it does not answer. */
const defaultMasters = ['127.0.0.1:7070', '127.0.0.1:7071', '127.0.0.1:7072'].map(toAddress);
/** Masters that have not answered by then are looked at: does anybody listen there? */
const lookAfterMs = 700;
/** Nobody listens at any address: for so long it may be a restart. */
const absentPatienceMs = 2000;
const absentPauseMs = 200;
const probeMs = 1000;

/** Connects as --cluster, CAIRN_CLUSTER or the default say, runs `work`, and closes in any case. */
export async function withCluster<T>(invocation: Invocation, work: (cairn: Cairn) => Promise<T>): Promise<T> {
  exitOnSignals();
  const masters = namedMasters(invocation);
  const first = masters === defaultMasters ? masters.slice(0, 1) : masters;
  const cairn = await connect(masters, first, invocation.deadlineMs);
  try {
    return await work(cairn);
  } finally {
    await cairn.close();
  }
}

function namedBy({ cluster }: Invocation): string | undefined {
  return cluster ?? (process.env.CAIRN_CLUSTER || undefined);
}

/** Where the masters are, as far as has been said. @throws CairnError INVALID_ARGUMENT */
export function namedMasters(invocation: Invocation): readonly Address[] {
  const named = namedBy(invocation);
  return named === undefined ? defaultMasters : parseClusterUrl(named);
}

/**
 * @param first of the masters: the others are asked only where these do not answer.
 * @throws CairnError NO_QUORUM soon if nobody listens at any of the addresses: the whole deadline would bring nothing
 */
export async function connect(
  masters: readonly Address[],
  first: readonly Address[],
  deadlineMs: number | undefined,
): Promise<Cairn> {
  const connecting = Cairn.connect(urlOf(first), { deadlineMs });
  connecting.catch(() => undefined); // told below, unless something better can be
  if ((await Promise.race([connecting, pause(lookAfterMs)])) !== undefined) return connecting;
  const looking = listening(masters, deadlineMs ?? Number.POSITIVE_INFINITY);
  looking.catch(() => undefined);
  const there = await Promise.race([connecting, looking]);
  const others = Array.isArray(there) ? there.filter((address) => !first.includes(address)) : [];
  if (!Array.isArray(there) || others.length === 0) return connecting;
  const meeting = Cairn.connect(urlOf(others), { deadlineMs });
  return others.length === there.length ? meeting : firstOf(connecting, meeting);
}

/** The first may hang, and be listened at all the same. */
async function firstOf(...connecting: readonly Promise<Cairn>[]): Promise<Cairn> {
  const connected = await Promise.any(connecting).catch(() => connecting[0]!);
  const spare = async (one: Promise<Cairn>): Promise<void> => {
    const cairn = await one;
    if (cairn !== connected) await cairn.close();
  };
  for (const one of connecting) spare(one).catch(() => undefined); // that it comes to nothing harms nobody any more
  return connected;
}

function urlOf(masters: readonly string[]): string {
  return `cairn://${masters.join(',')}`;
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}

/** Those of the addresses where somebody listens. @throws CairnError NO_QUORUM if that is nowhere */
async function listening(masters: readonly Address[], deadlineMs: number): Promise<Address[]> {
  const until = Date.now() + Math.min(absentPatienceMs, deadlineMs);
  for (;;) {
    const refusals = await Promise.all(masters.map(refusal));
    const there = masters.filter((_, n) => refusals[n] === undefined);
    if (there.length > 0) return there;
    if (Date.now() >= until)
      throw new CairnError(
        'NO_QUORUM',
        `no cluster answers at ${masters.join(', ')} (${refusals[0]}); start one with \`cairn up\`, or name yours with --cluster or CAIRN_CLUSTER`,
      );
    await pause(absentPauseMs);
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
