/**
 * Looks at what the chunkservers hold of every file below a path, beside what the masters say they should: replicas that are missing, damaged, behind
 * or cannot be reached, chunks with too few good ones or none, replicas that differ. Reads no data: replicas show the checksums of their blocks.
 */
import { type ChunkHandle, type ServerId, toChunkIndex } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import type { Attributes, Location, Replica } from '../../core/protocol/types.ts';
import { type AbortSignalLike, throwIfAborted } from './abort.ts';
import type { ClientCore } from './core.ts';
import { isSamePlace } from './lengths.ts';
import { fsckFilesParallel, fsckParallel, locatePage, readAttemptMs, walkParallel } from './limits.ts';
import { childPath, entriesOf, type OnUnreached, unlessGone, workThrough } from './tree.ts';

type Image = ResponseOf<(typeof chunkCalls)['image']>;

/**
 * `behind`: it lacks the end of its chunk, or is of an earlier version, and readers refuse it. `differs`: from most of those that have all; from one
 * another, where no more than half of them are the same, as nobody can tell then which are right.
 */
export type ReplicaCondition = 'good' | 'missing' | 'damaged' | 'behind' | 'unreachable' | 'differs';

export interface ReplicaFinding {
  readonly server: ServerId;
  readonly condition: ReplicaCondition;
}

/** What is wrong with one chunk. */
export interface ChunkFinding {
  readonly path: string;
  /** `lost`: no good replica; `divergent`: good ones that differ; `short`: fewer than there should be. */
  readonly problem: 'lost' | 'divergent' | 'short';
  readonly handle: ChunkHandle;
  /** Of the file. */
  readonly firstByte: number;
  readonly lengthBytes: number;
  readonly replicas: readonly ReplicaFinding[];
}

export interface FsckSummary {
  readonly files: number;
  readonly directories: number;
  readonly chunks: number;
  readonly lost: number;
  readonly divergent: number;
  readonly short: number;
  /** Directories and files that were not looked at, as no path leads to them. */
  readonly unreached: number;
}

export interface FsckOptions {
  readonly signal?: AbortSignalLike | undefined;
  /** Told of each chunk with which something is wrong; a promise that it returns is waited for. */
  readonly onFinding?: ((finding: ChunkFinding) => unknown) | undefined;
  readonly onProgress?: ((soFar: FsckSummary) => void) | undefined;
  readonly onUnreached?: OnUnreached | undefined;
}

export async function fsck(core: ClientCore, path: string, options: FsckOptions): Promise<FsckSummary> {
  const walk = new Walk(core, options);
  await walk.run(path);
  return walk.summary;
}

class Walk {
  readonly summary = { files: 0, directories: 0, chunks: 0, lost: 0, divergent: 0, short: 0, unreached: 0 };
  readonly #core: ClientCore;
  readonly #options: FsckOptions;

  constructor(core: ClientCore, options: FsckOptions) {
    this.#core = core;
    this.#options = options;
  }

  async run(path: string): Promise<void> {
    const root = await this.#core.masters.read('stat', { path });
    if (root.kind === 'file') return this.#file(path, root);
    await workThrough([path], walkParallel, (directory) =>
      directory === path ? this.#directory(path) : this.#unlessGone(directory, (there) => this.#directory(there)),
    );
  }

  /** @returns the directories in it. */
  async #directory(path: string): Promise<readonly string[]> {
    this.summary.directories += 1;
    const below: string[] = [];
    const { signal } = this.#options;
    for await (const page of entriesOf(this.#core, path, { withAttributes: false, signal })) {
      const files: string[] = [];
      for (const entry of page) (entry.kind === 'directory' ? below : files).push(childPath(entry));
      await workThrough(files, fsckFilesParallel, async (file) => {
        await this.#fileAt(file);
        return [];
      });
    }
    return below;
  }

  async #fileAt(path: string): Promise<void> {
    await this.#unlessGone(path, async () => {
      await this.#file(path, await this.#core.masters.read('stat', { path }));
      return [];
    });
  }

  #unlessGone(path: string, work: (path: string) => Promise<readonly string[]>): Promise<readonly string[]> {
    const onUnreached: OnUnreached = (...what) => {
      this.summary.unreached += 1;
      this.#options.onUnreached?.(...what);
    };
    return unlessGone(path, onUnreached, work);
  }

  async #file(path: string, attributes: Attributes): Promise<void> {
    this.summary.files += 1;
    const { inode, chunkCount } = attributes;
    for (let first = 0; first < chunkCount; first += locatePage) {
      throwIfAborted(this.#options.signal);
      const request = { inode, first: toChunkIndex(first), count: locatePage };
      const { locations } = await this.#core.masters.read('locate', request);
      await workThrough([...locations], fsckParallel, async (location) => {
        await this.#chunk(path, attributes, location);
        return [];
      });
    }
    this.#options.onProgress?.({ ...this.summary });
  }

  /** What is wrong counts if the chunk is still the file's, and still there, after the replicas were looked at. */
  async #chunk(path: string, attributes: Attributes, chunk: Location): Promise<void> {
    this.summary.chunks += 1;
    let location = chunk;
    for (let looks = 1; ; looks++) {
      const finding = await this.#look(path, attributes, location);
      if (finding === undefined) return;
      const now = await chunkAt(this.#core, attributes.inode, location.index);
      if (now?.handle !== location.handle) return; // cut off, or replaced
      if (looks < looksMax && !isSamePlace(location, now)) {
        location = now;
        continue;
      }
      this.summary[finding.problem] += 1;
      await this.#options.onFinding?.(finding);
      return;
    }
  }

  async #look(path: string, attributes: Attributes, location: Location): Promise<ChunkFinding | undefined> {
    const looks = await Promise.all(location.replicas.map((replica) => lookAt(this.#core, location.handle, replica)));
    const replicas = compare(location, looks);
    const problem = problemOf(location, attributes, replicas);
    if (problem === undefined) return undefined;
    const { handle, index } = location;
    const lengthBytes = lengthOf(location, looks);
    return { path, problem, handle, firstByte: index * attributes.chunkBytes, lengthBytes, replicas };
  }
}

/** Where a chunk is now; undefined where the file has none. */
export async function chunkAt(
  core: ClientCore,
  inode: Attributes['inode'],
  index: Location['index'],
): Promise<Location | undefined> {
  const { locations } = await core.masters.read('locate', { inode, first: index, count: 1 });
  return locations.find((location) => location.index === index);
}

/** A chunk that moves, or is given a new version, is looked at so often at most. */
export const looksMax = 3;

interface Look {
  readonly server: ServerId;
  readonly condition: ReplicaCondition;
  readonly image: Image | undefined;
}

async function lookAt(core: ClientCore, handle: ChunkHandle, { server, address }: Replica): Promise<Look> {
  try {
    const request = { handle, fence: undefined };
    const { response } = await core.pool.call(address, 'image', request, { timeoutMs: readAttemptMs });
    return { server, condition: 'good', image: response };
  } catch (thrown) {
    return { server, condition: conditionAfter(toCairnError(thrown).code), image: undefined };
  }
}

function conditionAfter(code: string): ReplicaCondition {
  if (code === 'CHUNK_MISSING') return 'missing';
  return code.startsWith('DISK_') ? 'damaged' : 'unreachable';
}

/** Of an open chunk the master knows what it was told last, which may be nothing yet: its replicas know better. */
function lengthOf({ sealedLength, knownLength }: Location, looks: readonly Look[]): number {
  return sealedLength ?? Math.max(knownLength, ...looks.map(({ image }) => image?.lengthBytes ?? 0));
}

/** What is whole of a sealed chunk is the same everywhere; an open one may just be growing. */
function compare(location: Location, looks: readonly Look[]): readonly ReplicaFinding[] {
  if (location.sealedLength === undefined) return looks.map(({ server, condition }) => ({ server, condition }));
  const whole = looks.flatMap(({ image }) => (image === undefined || isBehind(location, image) ? [] : [image]));
  const most = whole.find((one) => whole.filter((other) => isSame(one, other)).length * 2 > whole.length);
  return looks.map(({ server, condition, image }) => {
    if (image === undefined) return { server, condition };
    if (isBehind(location, image)) return { server, condition: 'behind' };
    return { server, condition: most !== undefined && isSame(image, most) ? 'good' : 'differs' };
  });
}

/** Of a sealed chunk that has bytes each replica has all of them, under its version. */
function isBehind({ version, sealedLength = 0 }: Location, image: Image): boolean {
  return sealedLength > 0 && (image.lengthBytes < sealedLength || image.version < version);
}

function isSame(a: Image, b: Image): boolean {
  return a.lengthBytes === b.lengthBytes && a.blockChecksums.every((crc, block) => crc === b.blockChecksums[block]);
}

function problemOf(
  { knownLength, sealedLength }: Location,
  { replication, mode }: Attributes,
  replicas: readonly ReplicaFinding[],
): 'lost' | 'divergent' | 'short' | undefined {
  const count = (condition: ReplicaCondition) => replicas.filter((one) => one.condition === condition).length;
  // A chunk that was never written to is nowhere; of one that is empty nobody need have anything.
  if (sealedLength === 0 || (knownLength === 0 && count('missing') === replicas.length)) return undefined;
  const good = count('good') + count('differs');
  if (good === 0) return 'lost';
  // In mode gfs replicas differ where an attempt has failed: that is what it promises.
  if (count('differs') > 0 && mode !== 'gfs') return 'divergent';
  return good < replication ? 'short' : undefined;
}
