/**
 * A client of one cluster, in the manner of node:fs/promises. It follows the leading master, keeps connections to chunkservers, retries
 * what is safe to retry, and throws CairnErrors that name the path and say what to do.
 *
 * Each call ends within the deadline of the settings unless it makes progress. All paths are absolute.
 */
import { type Address, toServerId } from '../../core/base/brand.ts';
import { toUtf8 } from '../../core/base/bytes.ts';
import type { Env } from '../../core/base/env.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { masterCalls, ServerStatus } from '../../core/protocol/master-calls.ts';
import { abortable, throwIfAborted } from './abort.ts';
import { type CopyOptions, copy } from './copying.ts';
import type { ClientCore } from './core.ts';
import { type DiskFree, diskFreeOf } from './disk-free.ts';
import { about, isClosed, namesOf } from './failures.ts';
import { checkPosition, type FileHandle, type OpenFlags } from './file-handle.ts';
import { type FsckOptions, type FsckSummary, fsck } from './fsck.ts';
import { MasterGroup } from './group.ts';
import { type FileSettings, type GivenSettings, recallAttemptMs } from './limits.ts';
import { makeCore } from './make-core.ts';
import { asked, type CallOptions, type MakeOptions } from './opening.ts';
import { type FileData, type OpenOptions, type PartOptions, PathFiles } from './path-files.ts';
import { type ReadStreamOptions, readStream } from './read-range.ts';
import { type ReadRecord, type RecordsOptions, recordsOf } from './records.ts';
import { type Region, regionsOfFile } from './regions.ts';
import { type ServerScrub, scrubAll } from './scrubbing.ts';
import { Shadow, ShadowMasters, type ShadowOptions } from './shadow.ts';
import { Stats, settledSize } from './stats.ts';
import { Trash } from './trash.ts';
import { type Entry, entriesOf, isMissing } from './tree.ts';
import { truncateFile } from './truncate.ts';
import { type Usage, type UsageOptions, usageOf } from './usage.ts';
import { type Walked, type WalkOptions, walk } from './walk.ts';
import type { WriteStream, WriteStreamOptions } from './write-stream.ts';

export type ClusterStatus = ResponseOf<(typeof masterCalls)['status']>;

export interface RemoveOptions extends CallOptions {
  /** Directories with all below. */
  readonly recursive?: boolean | undefined;
  /** What is missing is no error. */
  readonly force?: boolean | undefined;
  /** False: it goes for good. */
  readonly trash?: boolean | undefined;
}
export interface MakeDirectoryOptions extends CallOptions, FileSettings {
  readonly recursive?: boolean | undefined;
}

export class CairnClient {
  readonly #core: ClientCore;
  readonly #files: PathFiles;
  #shadowMasters: ShadowMasters | undefined;
  #isClosed = false;

  /** For subclasses; use `start`. */
  constructor(core: ClientCore) {
    this.#core = core;
    this.#files = new PathFiles(core);
  }

  /** Finds the cluster. @throws CairnError NO_QUORUM when no master answers within the deadline */
  static async start(env: Env, masters: readonly Address[], settings: GivenSettings = {}): Promise<CairnClient> {
    return new CairnClient(await makeCore(env, masters, settings));
  }

  get clusterId(): string {
    return this.#core.masters.clusterId;
  }

  /** Ends all calls that are under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#shadowMasters?.close();
    this.#core.masters.close();
    this.#core.pool.close();
  }

  // ---------------------------------------------------------------- files

  async open(path: string, flags: OpenFlags = 'r', options: MakeOptions = {}): Promise<FileHandle> {
    return this.#call(path, options, () => this.#files.open(path, flags, options));
  }

  /** All of a file, or `length` bytes from `start` on. @throws CairnError TOO_LARGE: stream it */
  readFile(path: string, options: PartOptions = {}): Promise<Uint8Array> {
    return this.#call(path, options, () => this.#files.read(path, options));
  }

  /** Makes the file, or replaces what is in it. A reader meanwhile may see a part. */
  writeFile(path: string, data: FileData, options: OpenOptions = {}): Promise<void> {
    return this.#call(path, options, () => this.#files.write(path, data, options));
  }

  /**
   * Appends, making the file if it is missing. Up to recordMaxBytes (a packet, and a quarter of a chunk) as one record: atomic,
   * exactly once. More as several: others' records may lie between them.
   */
  appendFile(path: string, data: string | Uint8Array, options: MakeOptions = {}): Promise<void> {
    return this.#call(path, options, async () => {
      const bytes = typeof data === 'string' ? toUtf8(data) : data;
      await this.#files.appending(path, options, ({ queue }) => queue.appendAll(bytes, options.signal));
    });
  }

  /**
   * Appends one record, making the file if it is missing: atomic, exactly once, whoever else appends. Many at a time share messages.
   * @returns where it begins in the file. @throws CairnError RECORD_TOO_LARGE
   */
  recordAppend(path: string, record: Uint8Array, options: MakeOptions = {}): Promise<number> {
    const { signal } = options;
    return this.#call(path, options, () =>
      this.#files.appending(path, options, ({ queue }) => queue.append(record, signal)),
    );
  }

  /**
   * Appends one record with a head that says what it is, making the file if it is missing: exactly once in mode strong, and told apart
   * from padding, fragments and repetitions by `records` in every mode.
   * @returns where it begins in the file, its head first. @throws CairnError RECORD_TOO_LARGE
   */
  appendRecord(path: string, payload: Uint8Array, options: MakeOptions = {}): Promise<number> {
    const { signal } = options;
    return this.#call(path, options, () =>
      this.#files.appending(path, options, ({ queue }) => queue.appendRecord(payload, signal)),
    );
  }

  /** What `appendRecord` has put into a file, in order, each once; with `follow` also what comes. @see RecordsOptions */
  async *records(path: string, options: RecordsOptions = {}): AsyncGenerator<ReadRecord, void, void> {
    try {
      this.#check(path, options);
      if (typeof options.from === 'number') checkPosition(options.from);
      yield* this.#files.pieces(path, options, (file) => recordsOf(file, options));
    } catch (thrown) {
      throw about(path, thrown);
    }
  }

  /**
   * Makes a file so long: what is behind is gone, what was not there reads as zeros. Cut short half-way (its caller died, or it failed) the
   * file may be of any length between.
   * @throws CairnError TOO_LARGE
   */
  truncate(path: string, size = 0, options: CallOptions = {}): Promise<void> {
    return this.#call(path, options, async () => {
      checkPosition(size);
      await this.#files.work(path, (file) => truncateFile(file, size, options.signal));
    });
  }

  /** The bytes that the file has now, in pieces of up to 1 MiB, read ahead. */
  async *readStream(path: string, options: ReadStreamOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    try {
      this.#check(path, options);
      checkPosition(options.start ?? 0);
      yield* this.#files.pieces(path, options, (file) => readStream(file, options));
    } catch (thrown) {
      throw about(path, thrown);
    }
  }

  /** A sink with back-pressure. `flags`: `w` (if not given), `wx`, `r+` or `a`. */
  writeStream(path: string, options: OpenOptions & WriteStreamOptions = {}): Promise<WriteStream> {
    return this.#call(path, options, () => this.#files.writeStream(path, options));
  }

  // ---------------------------------------------------------------- the tree

  /** @throws CairnError NOT_FOUND; UNAVAILABLE if the size cannot be known now */
  stat(path: string, options: CallOptions = {}): Promise<Stats> {
    return this.#call(path, options, async () => {
      const { attributes, size } = await settledSize(this.#core, () => this.#core.masters.read('stat', { path }));
      return new Stats(attributes, size, true);
    });
  }

  exists(path: string, options: CallOptions = {}): Promise<boolean> {
    return this.#call(path, options, async () => {
      try {
        await this.#core.masters.read('stat', { path });
        return true;
      } catch (thrown) {
        if (isMissing(thrown)) return false;
        throw thrown;
      }
    });
  }

  /** Names, or with `withFileTypes` or `withAttributes` entries, in byte order. For huge directories use `entries`. */
  readdir(
    path: string,
    options?: CallOptions & { readonly withFileTypes?: false | undefined; readonly withAttributes?: false | undefined },
  ): Promise<string[]>;
  readdir(
    path: string,
    options: (CallOptions & { readonly withFileTypes: true }) | (CallOptions & { readonly withAttributes: true }),
  ): Promise<Entry[]>;
  readdir(
    path: string,
    options: CallOptions & {
      readonly withFileTypes?: boolean | undefined;
      readonly withAttributes?: boolean | undefined;
    } = {},
  ): Promise<string[] | Entry[]> {
    return this.#call(path, options, async () => {
      const { withFileTypes = false, withAttributes = false, signal } = options;
      const all: Entry[] = [];
      for await (const page of entriesOf(this.#core, path, { withAttributes, signal })) all.push(...page);
      return withFileTypes || withAttributes ? all : all.map(({ name }) => name);
    });
  }

  /** The same, one after another, holding two pages in memory. */
  async *entries(
    path: string,
    options: CallOptions & { readonly withAttributes?: boolean | undefined } = {},
  ): AsyncGenerator<Entry, void, void> {
    try {
      this.#check(path, options);
      const { withAttributes = false, signal } = options;
      for await (const page of entriesOf(this.#core, path, { withAttributes, signal })) yield* page;
    } catch (thrown) {
      throw about(path, thrown);
    }
  }

  /** What is at a path and below it, one after another: each directory before what is in it, names in byte order. */
  async *walk(path: string, options: WalkOptions = {}): AsyncGenerator<Walked, void, void> {
    try {
      this.#check(path, options);
      yield* walk(this.#core, path, options, this.#core.masters);
    } catch (thrown) {
      throw about(path, thrown);
    }
  }

  /** `recursive`: makes missing parents, and an existing directory is no error. */
  mkdir(path: string, options: MakeDirectoryOptions = {}): Promise<void> {
    return this.#call(path, options, async () => {
      const request = { path, parents: options.recursive ?? false, ...asked(options) };
      await this.#core.masters.command('mkdir', request, { signal: options.signal });
    });
  }

  /**
   * Changes settings: of a file for all that happens afterwards, of a directory for what is made in it from then on.
   * @throws CairnError INVALID_ARGUMENT for what is out of bounds, and for another chunk size of a file that has chunks
   */
  set(path: string, settings: FileSettings, options: CallOptions = {}): Promise<void> {
    return this.#call(path, options, async () => {
      await this.#core.masters.command('set', { path, ...asked(settings) }, recalling(options));
    });
  }

  /**
   * A copy of a file or tree as it is at one moment, whatever is being written meanwhile. It takes no room until it, or its source, is changed,
   * and its time does not depend on its size.
   * @throws CairnError EXISTS, INTO_ITSELF, NOT_FOUND; UNAVAILABLE if servers that are away hold what is being written
   */
  fileSnapshot(from: string, to: string, options: CallOptions = {}): Promise<void> {
    return this.#call(from, options, async () => {
      namesOf(to);
      await this.#core.masters.command('fileSnapshot', { from, to }, recalling(options));
    });
  }

  /** As rename(2): a file, or an empty directory, at `to` gives way; with `replace: false` it is an error. */
  rename(
    from: string,
    to: string,
    options: CallOptions & { readonly replace?: boolean | undefined } = {},
  ): Promise<void> {
    return this.#call(from, options, async () => {
      namesOf(to);
      const { replace = true, signal } = options;
      await this.#core.masters.command('rename', { from, to, replace }, { signal });
    });
  }

  /** What goes stays in the trash for a while, if the cluster has one. */
  rm(path: string, options: RemoveOptions = {}): Promise<void> {
    return this.#call(path, options, async () => {
      try {
        const request = { path, recursive: options.recursive ?? false };
        const { signal } = options;
        await this.#core.masters.command(options.trash === false ? 'remove' : 'discard', request, { signal });
      } catch (thrown) {
        if (options.force !== true || !isMissing(thrown)) throw thrown;
      }
    });
  }

  /** Copies a file, or with `recursive` a tree, through this client. */
  cp(from: string, to: string, options: CopyOptions = {}): Promise<void> {
    return this.#call(from, options, () => copy(this.#core, from, to, options));
  }

  /** Adds up what is at a path and below it. */
  usage(path: string, options: UsageOptions = {}): Promise<Usage> {
    return this.#call(path, options, () => usageOf(this.#core, path, options));
  }

  // ---------------------------------------------------------------- the cluster

  /** Masters, chunkservers and chunks as the leading master sees them. */
  status(options: CallOptions = {}): Promise<ClusterStatus> {
    return this.#call(undefined, options, () => this.#core.masters.read('status', {}));
  }

  /** Has a chunkserver emptied, or with `undo` lets it have chunks again. `servers` shows how far it is. @throws CairnError NOT_FOUND */
  drain(server: number, options: CallOptions & { readonly undo?: boolean | undefined } = {}): Promise<void> {
    return this.#call(undefined, options, async () => {
      const draining = options.undo !== true;
      await this.#core.masters.command('drain', { server: toServerId(server), draining }, { signal: options.signal });
    });
  }

  /** What was removed and can be restored. */
  get trash(): Trash {
    return new Trash(this.#core);
  }

  /** The masters, as a group that is operated. */
  get masters(): MasterGroup {
    return new MasterGroup(this.#core.masters);
  }

  /** Reads of metadata that may be a little old, from any master: also while none leads. */
  shadow(options: ShadowOptions = {}): Shadow {
    if (this.#isClosed) throw isClosed('the client');
    this.#shadowMasters ??= new ShadowMasters(this.#core);
    return new Shadow(this.#core, this.#shadowMasters, options);
  }

  async servers(options: CallOptions = {}): Promise<readonly ServerStatus[]> {
    return (await this.status(options)).servers;
  }

  /** How the search of each chunkserver for damaged blocks stands; `now` begins one everywhere. */
  scrub(options: CallOptions & { readonly now?: boolean | undefined } = {}): Promise<readonly ServerScrub[]> {
    return this.#call(undefined, options, () => scrubAll(this.#core, options.now ?? false));
  }

  /** Looks at the replicas of all files at a path and below it. */
  fsck(path = '/', options: FsckOptions = {}): Promise<FsckSummary> {
    return this.#call(path, options, () => fsck(this.#core, path, options));
  }

  /** Where the replicas of a file are the same and where they are not, in order. Reads all of each replica. */
  async *regions(path: string, options: CallOptions = {}): AsyncGenerator<Region, void, void> {
    try {
      this.#check(path, options);
      yield* regionsOfFile(this.#core, path, options.signal);
    } catch (thrown) {
      throw about(path, thrown);
    }
  }

  async df(options: CallOptions = {}): Promise<DiskFree> {
    return diskFreeOf(await this.status(options));
  }

  // ---------------------------------------------------------------- within

  #check(path: string | undefined, { signal }: CallOptions | ReadStreamOptions): void {
    if (this.#isClosed) throw isClosed('the client');
    throwIfAborted(signal);
    if (path !== undefined) namesOf(path);
  }

  /** @param path what the call is about; undefined: the cluster. Errors begin with it. */
  async #call<T>(path: string | undefined, options: CallOptions, work: () => Promise<T>): Promise<T> {
    try {
      this.#check(path, options);
      return await abortable(options.signal, work());
    } catch (thrown) {
      throw path === undefined ? toCairnError(thrown) : about(path, thrown);
    }
  }
}

/** The master answers when leases have come back. */
function recalling({ signal }: CallOptions) {
  return { attemptMs: recallAttemptMs, signal };
}
