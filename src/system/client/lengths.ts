/**
 * How long open chunks are: who has the lease knows. Where nobody has it, as the primary has failed, the member that has most of the chunk tells:
 * another one may have lost bytes of durability memory with its power. In mode async the others may lack what was acknowledged: their word counts
 * only when the primary has said that it has no lease, or the master, who hears it or not, names another one first. One call per server.
 */
import type { Address } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import { lengthsPageMax } from '../../core/protocol/chunk-calls.ts';
import type { Attributes, Location, Replica } from '../../core/protocol/types.ts';
import type { ClientCore } from './core.ts';
import { readAttemptMs } from './limits.ts';

export interface Tail {
  readonly location: Location;
  /** As in a `Place`: it is open, in mode async. */
  readonly isAheadAtPrimary: boolean;
}

export interface Length {
  readonly bytes: number;
  /** False: who has the lease was not heard, and the member that has most tells. That may be less than there was. */
  readonly isCertain: boolean;
}

interface Asked {
  readonly tail: Tail;
  /** Those not asked yet, the best to ask first. */
  readonly left: Replica[];
  length: number | undefined;
  /** Who told it has the lease, or it was sealed: nobody else needs to be asked. */
  isCertain: boolean;
  /** Members that said that they have no such chunk. */
  absent: number;
}

/**
 * In the order of `tails`; undefined where nobody whose word is enough could tell.
 * @param isStill whether the master, asked now, says the same of it. Without it no word that there is no such chunk tells anything.
 */
export async function lengthsOf(
  core: ClientCore,
  tails: readonly Tail[],
  isStill: (tail: Location) => Promise<boolean> = () => Promise.resolve(false),
): Promise<readonly (Length | undefined)[]> {
  const asked = tails.map((tail) => ({
    tail,
    left: inOrder(core, tail),
    length: tail.location.sealedLength,
    isCertain: tail.location.sealedLength !== undefined,
    absent: 0,
  }));
  for (;;) {
    const open = asked.filter((one) => mustAskOn(core, one));
    if (open.length === 0) break;
    await askEach(core, open);
  }
  return Promise.all(asked.map((one) => lengthOf(one, isStill)));
}

/**
 * A chunk is made by its first mutation: where no member has it and the master knows of nothing, nothing was acknowledged. Where no member
 * has it any more it is lost; it had what the master knows of. The word of some is not enough: theirs may have been damaged, and dropped. Nor
 * is that of members of the past: the chunk may have been copied elsewhere, and written there, while one of them was waited for.
 */
async function lengthOf(
  { tail: { location }, length, isCertain, absent }: Asked,
  isStill: (tail: Location) => Promise<boolean>,
): Promise<Length | undefined> {
  if (length !== undefined) return { bytes: length, isCertain };
  const isNowhere = absent > 0 && absent === location.replicas.length && (await isStill(location));
  return isNowhere ? { bytes: location.knownLength, isCertain: true } : undefined;
}

/** What the master says of a chunk's place and length, once and once more. */
export function isSamePlace(one: Location, other: Location | undefined): boolean {
  return (
    one.handle === other?.handle &&
    one.version === other.version &&
    one.knownLength === other.knownLength &&
    one.sealedLength === other.sealedLength &&
    one.replicas.length === other.replicas.length &&
    one.replicas.every(({ server }, n) => server === other.replicas[n]!.server)
  );
}

/** Who was lost a moment ago comes last, but for the one that alone may have all. */
function inOrder(core: ClientCore, tail: Tail): Replica[] {
  const rank = (replica: Replica) => (isAhead(tail, replica.address) ? -1 : lostRank(core, replica));
  return tail.location.replicas.toSorted((a, b) => rank(a) - rank(b));
}

function isAhead({ location, isAheadAtPrimary }: Tail, address: Address): boolean {
  return isAheadAtPrimary && location.replicas[0]!.address === address;
}

/** Who is not heard is waited for only where nobody else has told. */
function mustAskOn(core: ClientCore, { left, length, isCertain }: Asked): boolean {
  const [next] = left;
  if (next === undefined || isCertain) return false;
  return length === undefined || lostRank(core, next) === 0;
}

function lostRank(core: ClientCore, replica: Replica): number {
  return core.pool.isSuspect(replica.address) ? 1 : 0;
}

async function askEach(core: ClientCore, open: readonly Asked[]): Promise<void> {
  const byServer = new Map<Address, Asked[]>();
  for (const one of open) {
    const { address } = one.left.shift()!;
    const page = byServer.get(address);
    if (page === undefined) byServer.set(address, [one]);
    else page.push(one);
  }
  const calls: Promise<void>[] = [];
  for (const [address, all] of byServer) {
    for (let at = 0; at < all.length; at += lengthsPageMax) {
      calls.push(askOne(core, address, all.slice(at, at + lengthsPageMax)));
    }
  }
  await Promise.all(calls);
}

async function askOne(core: ClientCore, address: Address, page: readonly Asked[]): Promise<void> {
  const handles = page.map(({ tail }) => tail.location.handle);
  try {
    const { response } = await core.pool.call(address, 'lengths', { handles }, { timeoutMs: readAttemptMs });
    page.forEach((one, n) => {
      const length = response.lengths[n];
      if (length === undefined) one.absent += 1;
      else {
        one.length = length.hasLease ? length.bytes : Math.max(one.length ?? 0, length.bytes);
        one.isCertain = length.hasLease;
      }
    });
  } catch (thrown) {
    const { code, retry, message } = toCairnError(thrown);
    if (code === 'ABORTED') throw thrown; // by the caller
    // Whatever this server makes of the question, others may have the answer; not to what it alone may have.
    for (const { tail, left } of page) if (isAhead(tail, address)) left.splice(0);
    const level = retry === 'never' ? 'warn' : 'debug';
    core.env.events.emit(level, 'client.lengthsNotTold', { address, code, why: message, chunks: page.length });
  }
}

/** The size of a file whose last chunk has this length. */
export function sizeWith(attributes: Attributes, tailLength: number): number {
  const { tail, chunkBytes, size } = attributes;
  return tail === undefined ? size : tail.index * chunkBytes + tailLength;
}
