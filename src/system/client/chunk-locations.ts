/**
 * Where one file's chunks are, for its readers. What exists is believed for a while: if it has moved, reading fails and tells. That a
 * chunk is *not* there (a hole, the end of the file) is believed only if it was looked up since the reading began.
 */
import { type InodeId, toChunkIndex } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { Attributes, Location } from '../../core/protocol/types.ts';
import type { ClientCore } from './core.ts';
import { locatePage, locationMs, locationsPerFileMax } from './limits.ts';

export type Place =
  /** `isLast`: as of `asOf` no chunk was behind it. */
  | {
      readonly kind: 'chunk';
      readonly location: Location;
      readonly isLast: boolean;
      readonly asOf: number;
      /** Only the primary surely has all that was acknowledged: mode async, and the chunk is open. */
      readonly isAheadAtPrimary: boolean;
    }
  | { readonly kind: 'hole' }
  | { readonly kind: 'end' };

interface Known {
  readonly location: Location;
  readonly asOf: number;
}

interface LookUp {
  readonly asOf: number;
  readonly done: Promise<LookedUp>;
}

/** What a page says itself: of what is kept some may be forgotten again at once, for want of room. */
interface LookedUp {
  readonly attributes: Attributes;
  readonly locations: readonly Location[];
  readonly asOf: number;
}

export class ChunkLocations {
  readonly #core: ClientCore;
  readonly #inode: InodeId;
  readonly #known = new Map<number, Known>();
  /** By first index of the page. */
  readonly #lookUps = new Map<number, LookUp>();
  #attributes: Attributes | undefined;
  #attributesAsOf = -1;

  constructor(core: ClientCore, inode: InodeId) {
    this.#core = core;
    this.#inode = inode;
  }

  /**
   * What was learnt with another answer that was asked for at `asOf`.
   * @throws CairnError STALE_HANDLE where the chunk size was changed: whoever has the file open would look in wrong places
   */
  put(attributes: Attributes, asOf: number): void {
    const { chunkBytes = attributes.chunkBytes } = this.#attributes ?? {};
    if (attributes.chunkBytes !== chunkBytes)
      throw new CairnError('STALE_HANDLE', 'the file has got another chunk size since it was opened; open it again');
    if (asOf < this.#attributesAsOf) return;
    this.#attributes = attributes;
    this.#attributesAsOf = asOf;
    if (attributes.tail !== undefined) this.#keep(attributes.tail, asOf);
  }

  /** The same of a file that was cut: what lies behind its end is forgotten. */
  cut(attributes: Attributes, asOf: number): void {
    for (const index of this.#known.keys()) if (index >= attributes.chunkCount) this.#known.delete(index);
    this.put(attributes, asOf);
  }

  /** @param since negative answers must not be older than this. @throws CairnError */
  async find(index: number, since: number): Promise<Place> {
    const known = this.#valid(index);
    if (known !== undefined) return this.#chunkPlace(known);
    const first = index - (index % locatePage);
    const { attributes, locations, asOf } = await this.#lookUp(first, since);
    const found = this.#known.get(index) ?? knownOf(locations, index, asOf);
    if (found !== undefined) return this.#chunkPlace(found);
    return index < attributes.chunkCount ? { kind: 'hole' } : { kind: 'end' };
  }

  /** Attributes not older than `since`. */
  async attributes(since: number): Promise<Attributes> {
    if (this.#attributes !== undefined && this.#attributesAsOf >= since) return this.#attributes;
    return (await this.#lookUp(0, since)).attributes;
  }

  forget(index: number): void {
    this.#known.delete(index);
  }

  #valid(index: number): Known | undefined {
    const known = this.#known.get(index);
    if (known === undefined || this.#core.env.clock.now() - known.asOf < locationMs) return known;
    this.#known.delete(index);
    return undefined;
  }

  #chunkPlace({ location }: Known): Place {
    const chunkCount = this.#attributes?.chunkCount ?? 0;
    const isLast = location.index + 1 >= chunkCount;
    const isAheadAtPrimary = this.#attributes?.mode === 'async' && location.sealedLength === undefined;
    return { kind: 'chunk', location, isLast, asOf: this.#attributesAsOf, isAheadAtPrimary };
  }

  #lookUp(first: number, since: number): Promise<LookedUp> {
    const running = this.#lookUps.get(first);
    if (running !== undefined && running.asOf >= since) return running.done;
    const asOf = this.#core.env.clock.now();
    const done = this.#ask(first, asOf).finally(() => {
      if (this.#lookUps.get(first)?.done === done) this.#lookUps.delete(first);
    });
    this.#lookUps.set(first, { asOf, done });
    return done;
  }

  async #ask(first: number, asOf: number): Promise<LookedUp> {
    const request = { inode: this.#inode, first: toChunkIndex(first), count: locatePage };
    const { attributes, locations } = await this.#core.masters.read('locate', request);
    this.put(attributes, asOf);
    for (let index = first; index < first + locatePage; index++) this.#drop(index, asOf);
    for (const location of locations) this.#keep(location, asOf);
    return { attributes, locations, asOf };
  }

  #drop(index: number, asOf: number): void {
    const known = this.#known.get(index);
    if (known !== undefined && known.asOf <= asOf) this.#known.delete(index);
  }

  #keep(location: Location, asOf: number): void {
    this.#drop(location.index, asOf);
    if (this.#known.has(location.index)) return; // a later answer was faster
    this.#known.set(location.index, { location, asOf });
    if (this.#known.size <= locationsPerFileMax) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}

function knownOf(locations: readonly Location[], index: number, asOf: number): Known | undefined {
  const location = locations.find((one) => one.index === index);
  return location === undefined ? undefined : { location, asOf };
}
