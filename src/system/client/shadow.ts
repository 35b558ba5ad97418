/**
 * Reads of metadata that may be a little old (GFS §5.1.3), from any master, one that does not lead first: for whoever would rather have them than
 * wait for a leader, or burden it. Each answer is of one moment, no longer ago than it says; two answers may be of different moments, and
 * of different masters. Bytes of files are never read so: they come from replicas that are in sync.
 */
import { type Address, toChunkIndex } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { locatePageMax, masterCalls } from '../../core/protocol/master-calls.ts';
import type { Location } from '../../core/protocol/types.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import type { AbortSignalLike } from './abort.ts';
import { attemptsOf, type ClientCore } from './core.ts';
import { about, invalid, isClosed, namesOf } from './failures.ts';
import { type Stats, settledSizes } from './stats.ts';
import { type Entry, entriesOf, type ReadSource } from './tree.ts';
import { type Walked, type WalkOptions, walk } from './walk.ts';

/** A master that is stopped, or cut off, costs this much. */
const attemptMs = 700;

type ShadowCall = (typeof masterCalls)['shadow'];
type Ask = RequestOf<ShadowCall>['ask'];

export interface ShadowOptions {
  /** Answers that may be older are refused with TOO_OLD. Without it any age will do. */
  readonly maxAgeMs?: number | undefined;
}

export class Shadow implements ReadSource {
  readonly #core: ClientCore;
  readonly #masters: ShadowMasters;
  readonly #maxAgeMs: number;
  #ageMs = 0;

  constructor(core: ClientCore, masters: ShadowMasters, { maxAgeMs = Number.MAX_SAFE_INTEGER }: ShadowOptions) {
    if (!(maxAgeMs >= 0)) throw invalid(`an age of ${maxAgeMs} ms; give milliseconds from 0 on`);
    this.#core = core;
    this.#masters = masters;
    this.#maxAgeMs = Math.min(maxAgeMs, Number.MAX_SAFE_INTEGER);
  }

  /** Of the oldest answer that was given so far: everything acknowledged that long before it is in it. */
  get ageMs(): number {
    return this.#ageMs;
  }

  /** The size of a file that is being written may be less than it is: then `isSizeExact` is false. @throws CairnError TOO_OLD */
  stat(path: string): Promise<Stats> {
    return named(path, async () => {
      const [stats] = await settledSizes(this.#core, [await this.read('stat', { path })]);
      return stats!;
    });
  }

  /** In byte order of their names. @throws CairnError TOO_OLD */
  async *entries(
    path: string,
    options: { readonly withAttributes?: boolean | undefined; readonly signal?: AbortSignalLike | undefined } = {},
  ): AsyncGenerator<Entry, void, void> {
    const { withAttributes = false, signal } = options;
    try {
      namesOf(path);
      for await (const page of entriesOf(this.#core, path, { withAttributes, signal, source: this })) yield* page;
    } catch (thrown) {
      throw about(path, thrown);
    }
  }

  /** What is at a path and below it, each directory before what is in it. @throws CairnError TOO_OLD */
  async *walk(path: string, options: WalkOptions = {}): AsyncGenerator<Walked, void, void> {
    try {
      namesOf(path);
      yield* walk(this.#core, path, options, this);
    } catch (thrown) {
      throw about(path, thrown);
    }
  }

  /** Where the chunks of a file are, in order. @throws CairnError TOO_OLD */
  locations(path: string): Promise<readonly Location[]> {
    return named(path, async () => {
      const { inode, chunkCount } = await this.read('stat', { path });
      const all: Location[] = [];
      for (let first = 0; first < chunkCount; first += locatePageMax) {
        const page = await this.read('locate', { inode, first: toChunkIndex(first), count: locatePageMax });
        all.push(...page.locations);
      }
      return all;
    });
  }

  async read<Kind extends 'stat' | 'readdir' | 'locate'>(
    kind: Kind,
    request: RequestOf<(typeof masterCalls)[Kind]>,
  ): Promise<ResponseOf<(typeof masterCalls)[Kind]>> {
    const { ageMs, answer } = await this.#masters.ask({ maxAgeMs: this.#maxAgeMs, ask: { ...request, kind } as Ask });
    this.#ageMs = Math.max(this.#ageMs, ageMs);
    return (answer.kind === 'stat' ? answer.attributes : answer) as ResponseOf<(typeof masterCalls)[Kind]>;
  }
}

/** Connections to all masters, for reads that any of them may answer. */
export class ShadowMasters {
  readonly #core: ClientCore;
  readonly #connections = new Map<Address, RpcConnection<typeof masterCalls>>();
  /** The one that answered last comes first. */
  #inOrder: readonly Address[] = [];
  #isClosed = false;

  constructor(core: ClientCore) {
    this.#core = core;
  }

  /** Asks one after another. @throws CairnError TOO_OLD when that is what all said who answered; NO_QUORUM when none did in time */
  async ask(request: RequestOf<ShadowCall>): Promise<ResponseOf<ShadowCall>> {
    const attempts = attemptsOf(this.#core);
    for (;;) {
      let last: CairnError | undefined;
      for (const address of await this.#masters()) {
        try {
          return await this.#askAt(address, request, Math.min(attemptMs, attempts.leftMs));
        } catch (thrown) {
          const error = toCairnError(thrown);
          if (error.retry === 'never') throw error;
          if (last?.code !== 'TOO_OLD') last = error;
        }
      }
      if (last?.code === 'TOO_OLD') throw last;
      const why = last?.message ?? 'no master is known';
      attempts.failed('asking any master', new CairnError('NO_QUORUM', why, { cause: last }), false);
      await attempts.pause();
      this.#inOrder = [];
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const rpc of this.#connections.values()) rpc.close('the client is closed');
    this.#connections.clear();
  }

  async #askAt(address: Address, request: RequestOf<ShadowCall>, timeoutMs: number): Promise<ResponseOf<ShadowCall>> {
    const { response } = await this.#to(address).call('shadow', request, { timeoutMs });
    if (this.#inOrder[0] !== address) this.#inOrder = [address, ...this.#inOrder.filter((other) => other !== address)];
    return response;
  }

  #to(address: Address): RpcConnection<typeof masterCalls> {
    if (this.#isClosed) throw isClosed('the client');
    const known = this.#connections.get(address);
    if (known !== undefined && !known.isClosed) return known;
    const rpc = RpcConnection.connect(this.#core.env, address, masterCalls, undefined);
    this.#connections.set(address, rpc);
    return rpc;
  }

  /** The leader last: it has enough to do. */
  async #masters(): Promise<readonly Address[]> {
    if (this.#inOrder.length > 0) return this.#inOrder;
    const { masters, leader } = await this.#core.masters.read('whoLeads', {});
    const others = masters.filter((address) => address !== leader);
    const first = others.length === 0 ? 0 : this.#core.seed % others.length;
    this.#inOrder = [...others.slice(first), ...others.slice(0, first), ...masters.filter((one) => one === leader)];
    return this.#inOrder;
  }
}

async function named<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    namesOf(path);
    return await work();
  } catch (thrown) {
    throw about(path, thrown);
  }
}
