/**
 * `cairn/client`: a Cairn cluster in the manner of node:fs/promises.
 *
 *     import { Cairn } from 'cairn/client';
 *     const cairn = await Cairn.connect('cairn://127.0.0.1:7070');
 *     await cairn.writeFile('/hello', 'world');
 *     await cairn.close();
 *
 * The client itself is in system/client; here are the things of Node that it may not know: Buffers, streams and AbortSignals.
 */
import { tmpdir } from 'node:os';
import { Readable, Writable } from 'node:stream';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import type { OpenFlags } from '../../system/client/file-handle.ts';
import { makeCore } from '../../system/client/make-core.ts';
import type { CallOptions, MakeOptions } from '../../system/client/opening.ts';
import type { OpenOptions } from '../../system/client/path-files.ts';
import type { WriteStream } from '../../system/client/write-stream.ts';

export { CairnError, type ErrorCode, errorTable } from '../../core/base/errors.ts';
export type { Durability, FileKind } from '../../core/protocol/types.ts';
export type { ClusterStatus } from '../../system/client/client.ts';
export type { CopyOptions } from '../../system/client/copying.ts';
export type { DiskFree } from '../../system/client/disk-free.ts';
export type { FileHandle, OpenFlags, Span } from '../../system/client/file-handle.ts';
export type { ChunkFinding, FsckOptions, FsckSummary } from '../../system/client/fsck.ts';
export type { FileSettings } from '../../system/client/limits.ts';
export type { CallOptions, MakeOptions } from '../../system/client/opening.ts';
export type { FileData, OpenOptions } from '../../system/client/path-files.ts';
export type { ReadStreamOptions } from '../../system/client/read-range.ts';
export type { ReadRecord, RecordsOptions, Skipped } from '../../system/client/records.ts';
export type { Region, RegionState } from '../../system/client/regions.ts';
export type { ServerScrub } from '../../system/client/scrubbing.ts';
export type { Shadow, ShadowOptions } from '../../system/client/shadow.ts';
export type { Stats } from '../../system/client/stats.ts';
export type { Entry } from '../../system/client/tree.ts';
export type { Usage } from '../../system/client/usage.ts';
export type { Walked, WalkOptions } from '../../system/client/walk.ts';
export type { WriteStream, WriteStreamOptions } from '../../system/client/write-stream.ts';

export interface ConnectOptions {
  /** Within this time a call makes progress or fails; 15 s if not given. */
  readonly deadlineMs?: number | undefined;
  /** Bytes under way, and in memory, for one reader; 8 MiB if not given. */
  readonly readWindowBytes?: number | undefined;
  /** The same for one writer. */
  readonly writeWindowBytes?: number | undefined;
}

export interface ReadFileOptions extends CallOptions {
  readonly start?: number | undefined;
  readonly length?: number | undefined;
  readonly encoding?: BufferEncoding | undefined;
}

export interface CreateReadStreamOptions {
  /** First byte, and last one, both included, as in node:fs. */
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  readonly encoding?: BufferEncoding | undefined;
  /** 1 MiB if not given. */
  readonly highWaterMark?: number | undefined;
  /** Bytes read ahead over the network. */
  readonly windowBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CreateWriteStreamOptions extends MakeOptions {
  /** `w` if not given. */
  readonly flags?: OpenFlags | undefined;
  readonly start?: number | undefined;
  /** How many bytes will come, if that is known. */
  readonly expectedBytes?: number | undefined;
  /** 1 MiB if not given. */
  readonly highWaterMark?: number | undefined;
  readonly windowBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const streamBytes = 1024 * 1024;

export class Cairn extends CairnClient {
  /**
   * @param url `cairn://host:port,host:port`: some of the cluster's masters; the others are found.
   * @throws CairnError INVALID_ARGUMENT; NO_QUORUM when none of them answers within the deadline
   */
  static async connect(url: string, options: ConnectOptions = {}): Promise<Cairn> {
    const env = nodeEnv({ dir: tmpdir() }); // a client keeps nothing on disk
    const { deadlineMs, readWindowBytes, writeWindowBytes } = options;
    const settings = { deadlineMs, readWindowBytes, writeWindowBytes };
    return new Cairn(await makeCore(env, parseClusterUrl(url), settings, Buffer.allocUnsafeSlow));
  }

  override readFile(path: string, options: ReadFileOptions & { readonly encoding: BufferEncoding }): Promise<string>;
  override readFile(path: string, options?: ReadFileOptions & { readonly encoding?: undefined }): Promise<Buffer>;
  override readFile(path: string, encoding: BufferEncoding): Promise<string>;
  override async readFile(path: string, options: ReadFileOptions | BufferEncoding = {}): Promise<Buffer | string> {
    const { encoding, ...rest } = typeof options === 'string' ? { encoding: options } : options;
    const bytes = await super.readFile(path, rest);
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return encoding === undefined ? buffer : buffer.toString(encoding);
  }

  /** The bytes that the file has now. Reading is back-pressured by `windowBytes` and `highWaterMark`. */
  createReadStream(path: string, options: CreateReadStreamOptions = {}): Readable {
    const { start = 0, end, encoding, highWaterMark = streamBytes, windowBytes, signal } = options;
    const length = end === undefined ? undefined : end - start + 1;
    const pieces = this.readStream(path, { start, length, windowBytes, signal });
    const stream = Readable.from(asBuffers(pieces), { objectMode: false, highWaterMark });
    return encoding === undefined ? stream : stream.setEncoding(encoding);
  }

  /** `finish` comes when all bytes are acknowledged. The memory that is written must not be changed until then. */
  createWriteStream(path: string, options: CreateWriteStreamOptions = {}): Writable {
    const { highWaterMark = streamBytes, ...rest } = options;
    return new CairnWritable(() => this.writeStream(path, rest satisfies OpenOptions), highWaterMark);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function* asBuffers(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, void> {
  for await (const bytes of pieces) yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A `WriteStream` as Node's streams want it; the file is opened before the first byte. */
class CairnWritable extends Writable {
  readonly #open: () => Promise<WriteStream>;
  #sink: WriteStream | undefined;

  constructor(open: () => Promise<WriteStream>, highWaterMark: number) {
    super({ highWaterMark, decodeStrings: true });
    this.#open = open;
  }

  override _construct(done: (error?: Error | null) => void): void {
    this.#open().then((sink) => {
      this.#sink = sink;
      done();
    }, done);
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#sink!.write(bytes).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sink!.close().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#sink?.abort();
    done(error);
  }
}
