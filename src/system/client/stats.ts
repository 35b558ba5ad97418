/** What `stat` tells of a file or directory. */
import type { InodeId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { Attributes, Durability, FileKind, Location, Mode } from '../../core/protocol/types.ts';
import { attemptsOf, type ClientCore } from './core.ts';
import { isSamePlace, lengthsOf, sizeWith, type Tail } from './lengths.ts';

export class Stats {
  readonly kind: FileKind;
  readonly inode: InodeId;
  /** Bytes of a file; 0 for a directory. */
  readonly size: number;
  /** False in listings for a file whose last chunk nobody could be asked about: it has at least `size` bytes. */
  readonly isSizeExact: boolean;
  /** Entries of a directory. */
  readonly entries: number;
  /** Wall time, ms since 1970. */
  readonly modifiedAtMs: number;
  readonly createdAtMs: number;
  readonly chunkBytes: number;
  readonly chunkCount: number;
  readonly replication: number;
  readonly durability: Durability;
  readonly mode: Mode;
  readonly minReplicas: number;

  constructor(attributes: Attributes, size: number, isSizeExact: boolean) {
    const isDirectory = attributes.kind === 'directory';
    this.kind = attributes.kind;
    this.inode = attributes.inode;
    this.size = isDirectory ? 0 : size;
    this.isSizeExact = isSizeExact;
    this.entries = isDirectory ? attributes.links : 0;
    this.modifiedAtMs = attributes.modifiedAt;
    this.createdAtMs = attributes.createdAt;
    this.chunkBytes = attributes.chunkBytes;
    this.chunkCount = attributes.chunkCount;
    this.replication = attributes.replication;
    this.durability = attributes.durability;
    this.mode = attributes.mode;
    this.minReplicas = attributes.minReplicas;
  }

  isFile(): boolean {
    return this.kind === 'file';
  }
  isDirectory(): boolean {
    return this.kind === 'directory';
  }
}

export interface Settled {
  readonly attributes: Attributes;
  readonly size: number;
  /** As of a `Length`. */
  readonly isCertain: boolean;
}

/**
 * Attributes with the size they lead to. `ask` gets the attributes anew.
 * @throws CairnError UNAVAILABLE if no replica of an open chunk answers; in mode async if its primary does not
 */
export async function settledSize(core: ClientCore, ask: () => Promise<Attributes>): Promise<Settled> {
  const attempts = attemptsOf(core);
  const isStill = async (tail: Location) => isSamePlace(tail, (await ask()).tail);
  for (;;) {
    const attributes = await ask();
    if (attributes.tail === undefined) return { attributes, size: attributes.size, isCertain: true };
    const [length] = await lengthsOf(core, [tailOf(attributes, attributes.tail)], isStill);
    if (length !== undefined)
      return { attributes, size: sizeWith(attributes, length.bytes), isCertain: length.isCertain };
    const lost = `no replica of chunk ${attributes.tail.handle} that has all of it tells how long it is`;
    attempts.failed('asking for the size', new CairnError('UNAVAILABLE', lost), false);
    await attempts.pause();
  }
}

/** The same for a page of a listing, each server asked once; what cannot be known now is told as such. */
export async function settledSizes(core: ClientCore, all: readonly Attributes[]): Promise<readonly Stats[]> {
  const tails = all.flatMap((one) => (one.tail === undefined ? [] : [tailOf(one, one.tail)]));
  const lengths = tails.length === 0 ? [] : await lengthsOf(core, tails);
  let at = 0;
  return all.map((attributes) => {
    if (attributes.tail === undefined) return new Stats(attributes, attributes.size, true);
    const length = lengths[at++];
    return new Stats(attributes, sizeWith(attributes, length?.bytes ?? 0), length !== undefined);
  });
}

function tailOf({ mode }: Attributes, location: Location): Tail {
  return { location, isAheadAtPrimary: mode === 'async' };
}
