/**
 * The grants under which one file's chunks are mutated. Asked for when needed, kept while they are used, renewed when one did
 * not work; many who need the same at one time ask once.
 */
import { type InodeId, type ServerId, toChunkIndex } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { IfMissing } from '../../core/protocol/master-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { ClientCore } from './core.ts';
import { grantIdleMs, grantsPerFileMax } from './limits.ts';

export const makeIfMissing: IfMissing = { kind: 'make' };

interface Held {
  readonly grant: Grant;
  usedAt: number;
}

export class ChunkGrants {
  readonly #core: ClientCore;
  readonly #inode: InodeId;
  readonly #chunkBytes: number;
  /** By chunk index, the one used last at the end. */
  readonly #held = new Map<number, Held>();
  readonly #asked = new Map<number, Promise<Grant>>();

  constructor(core: ClientCore, inode: InodeId, chunkBytes: number) {
    this.#core = core;
    this.#inode = inode;
    this.#chunkBytes = chunkBytes;
  }

  /** A grant that came with another answer. */
  put(index: number, grant: Grant): void {
    this.#held.delete(index);
    this.#held.set(index, { grant, usedAt: this.#core.env.clock.now() });
    if (this.#held.size <= grantsPerFileMax) return;
    for (const oldest of this.#held.keys()) {
      this.#held.delete(oldest);
      return;
    }
  }

  /** The one that was in use a moment ago. */
  warm(index: number): Grant | undefined {
    const held = this.#held.get(index);
    if (held === undefined) return undefined;
    if (this.#core.env.clock.now() - held.usedAt < grantIdleMs) return held.grant;
    this.#held.delete(index);
    return undefined;
  }

  /** It worked just now. */
  used(index: number, grant: Grant): void {
    const held = this.#held.get(index);
    if (held?.grant === grant) held.usedAt = this.#core.env.clock.now();
  }

  forgetAll(): void {
    this.#held.clear();
  }

  /** Chunks from this index on are gone. */
  forgetFrom(index: number): void {
    for (const held of this.#held.keys()) if (held >= index) this.#held.delete(held);
  }

  /** @throws CairnError CHUNK_CUT where the file has no such chunk and it is not made */
  get(index: number, deadlineMs: number, ifMissing: IfMissing = makeIfMissing): Promise<Grant> {
    const warm = this.warm(index);
    if (warm !== undefined) return Promise.resolve(warm);
    const asked = this.#asked.get(index);
    if (asked === undefined) return this.#ask(index, undefined, ifMissing, deadlineMs);
    return this.#shared(asked, deadlineMs, (leftMs) => this.get(index, leftMs, ifMissing));
  }

  /** A grant later than `stale`, which did not work because of `failed`, if anybody. @throws CairnError CHUNK_CUT, as `get` */
  renew(
    index: number,
    stale: Grant,
    failed: readonly ServerId[],
    deadlineMs: number,
    ifMissing: IfMissing = makeIfMissing,
  ): Promise<Grant> {
    const held = this.#held.get(index);
    if (held !== undefined && isLater(held.grant, stale)) return Promise.resolve(held.grant);
    const asked = this.#asked.get(index);
    // What somebody else has asked for may be older than what failed here: then ask again.
    if (asked !== undefined) {
      const again = (leftMs: number) => this.renew(index, stale, failed, leftMs, ifMissing);
      const isEnough = (grant: Grant) => isLater(grant, stale);
      return this.#shared(asked, deadlineMs, again, isEnough);
    }
    return this.#ask(index, { version: stale.version, failed }, ifMissing, deadlineMs);
  }

  /** What somebody else has asked for, whose time may be over before that of who shares it. */
  async #shared(
    asked: Promise<Grant>,
    deadlineMs: number,
    again: (leftMs: number) => Promise<Grant>,
    isEnough: (grant: Grant) => boolean = () => true,
  ): Promise<Grant> {
    const { clock } = this.#core.env;
    const until = clock.now() + deadlineMs;
    try {
      const grant = await asked;
      if (isEnough(grant)) return grant;
    } catch (thrown) {
      if (toCairnError(thrown).retry === 'never' || clock.now() >= until) throw thrown;
    }
    return again(Math.max(1, until - clock.now()));
  }

  #ask(
    index: number,
    after: { readonly version: Grant['version']; readonly failed: readonly ServerId[] } | undefined,
    ifMissing: IfMissing,
    deadlineMs: number,
  ): Promise<Grant> {
    const chunk = { inode: this.#inode, index: toChunkIndex(index), chunkBytes: this.#chunkBytes };
    const request = { ...chunk, after, ifMissing };
    const asked = this.#core.masters
      .command('acquire', request, { deadlineMs, isHarmless: true })
      .then(({ grant }) => {
        this.put(index, grant);
        return grant;
      })
      .finally(() => this.#asked.delete(index));
    this.#asked.set(index, asked);
    return asked;
  }
}

function isLater(grant: Grant, than: Grant): boolean {
  return grant.handle !== than.handle || grant.version > than.version;
}
