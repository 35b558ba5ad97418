/**
 * The world, as `core` and `system` may see it. Time, randomness, disk, network and events come in through `Env`;
 * `platform/node` and `platform/sim` are its two implementations. Nothing else may read the world.
 */
import type { Address, Millis, WallMillis } from './brand.ts';

export interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly network: Network;
  readonly events: Events;
  /** CRC-32 (IEEE, as zlib's) of `bytes`, continuing from `seed` (0 to begin). */
  readonly crc32: Crc32;
}

export type Crc32 = (bytes: Uint8Array, seed?: number) => number;

export interface Clock {
  /** Monotonic; the origin means nothing. May drift against other nodes' clocks. */
  now(): Millis;
  /** For people and timestamps of files only. */
  wallNow(): WallMillis;
  /** Calls `fire` once, not before `delayMs` have gone by. */
  after(delayMs: number, fire: () => void): Timer;
  /** Calls `run` after the input that is waiting now has been handled: the place where batches close. */
  soon(run: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, bound). */
  below(bound: number): number;
  /** A fresh 53-bit identifier. */
  id53(): number;
}

// ---------------------------------------------------------------- disk

/**
 * A directory tree of one node. Paths are relative, `/`-separated, without `.` and `..` (else INVALID_ARGUMENT); '' is the
 * root itself. Every method throws CairnError DISK_FULL (ENOSPC, EDQUOT), DISK_FAILED (EIO and the rest), NOT_FOUND (ENOENT)
 * or EXISTS (EEXIST) with the platform's error as cause.
 */
export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** As `open`, without leaving the turn: for small files on a hot path. */
  openNow(path: string, mode: OpenMode): DiskFile;
  /** With the parents that are missing; no error if it is there already. */
  makeDirectory(path: string): Promise<void>;
  /** The names in a directory, sorted. */
  list(path: string): Promise<readonly string[]>;
  exists(path: string): Promise<boolean>;
  /** A file, or an empty directory. */
  remove(path: string): Promise<void>;
  /** Atomic within the disk; replaces the target. Durable only after `syncDirectory` of both parents. */
  rename(from: string, to: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  usage(): Promise<DiskUsage>;
  /**
   * Zeroed memory, aligned as the disk likes it, in whole blocks of `diskBlockBytes`. It is never given back: callers keep
   * pools. `read` and `write` of ≥ 128 KiB between such memory (views of it too) and whole blocks of a file go past the page
   * cache where the system can: a tenth of the processor time of memory that is touched anew, and nothing is kept for the
   * next reader. Other memory, other alignments and the Now calls go through the cache. The two ways see each other's bytes.
   */
  allocate(bytes: number): Uint8Array;
}

/** Offsets and lengths in multiples of this can go past the page cache; see `Disk.allocate`. */
export const diskBlockBytes = 4096;

export interface DiskUsage {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** `read` must exist; `write` must exist, reads and writes; `create` is made if missing; `createNew` must not exist (EXISTS). */
export type OpenMode = 'read' | 'write' | 'create' | 'createNew';

/** An open file. Unsynced writes may be lost, wholly or in part, by a crash of the machine, not by one of the process. */
export interface DiskFile {
  readonly path: string;
  size(): number;
  /**
   * Reads up to `into.length` bytes at `offset`; returns how many there were (short only at the end of the file).
   * @param isHot they will be read again soon: through the page cache, whatever the memory.
   */
  read(offset: number, into: Uint8Array, isHot?: boolean): Promise<number>;
  /** The same without leaving the turn: for small reads that are likely cached. */
  readNow(offset: number, into: Uint8Array): number;
  /**
   * Writes all parts one after another from `offset`; the parts must not change until it resolves.
   * @returns how many of the bytes went through the page cache: a flush will have them to write.
   */
  write(offset: number, parts: readonly Uint8Array[]): Promise<number>;
  writeNow(offset: number, parts: readonly Uint8Array[]): void;
  /** Data and size are durable when it resolves (fdatasync). After a failure the file is not to be trusted (fsyncgate). */
  sync(): Promise<void>;
  /** The same without leaving the turn: for who knows that a flush takes less than the way to another thread and back. Not on every platform. */
  syncNow?(): void;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- network

/**
 * Connections carry frames, in order, at most once, until they close. A frame is a head (a coded message) and a body
 * (bulk bytes, possibly empty). There is no delivery after `closed`, and no hint of what the peer has seen before it.
 */
export interface Network {
  /** @throws CairnError PORT_IN_USE */
  listen(address: Address, accept: (connection: Connection) => ConnectionHandler): Promise<Listener>;
  /** Returns at once; frames sent before it is established are queued. Failure to connect arrives as `closed`. */
  connect(address: Address, handler: ConnectionHandler): Connection;
}

export interface Listener {
  /** With the port that was found, if it was asked to find one. */
  readonly address: Address;
  /** Accepts no more and frees the port; connections that were accepted live on. */
  close(): Promise<void>;
}

export interface ConnectionHandler {
  /**
   * A frame begins: its head is whole; `bodyBytes` more will follow through the sink that this returns (it may be
   * undefined if bodyBytes is 0, or to discard the body). The head is valid only during the call: copy what is kept;
   * to give it to a connection's `send` within the call is allowed.
   */
  frame(head: Uint8Array, bodyBytes: number): BodySink | undefined;
  /** The send queue has fallen below its bound again after `send` had returned false. */
  drained?(): void;
  /**
   * Called once, last, in a turn of its own (never from within `connect` or `close`), after an own `close` too.
   * `reason` says why, for events: the platform's code first (`ECONNREFUSED …`), `PROTOCOL …` for a peer that speaks otherwise.
   */
  closed(reason: string): void;
}

/** Takes the body of one frame. Exactly one of `end` and `aborted` is called, last. */
export interface BodySink {
  /**
   * Where the next bytes are to go: at least one byte of memory that stays the network's to write to until `end` or `aborted`.
   * With `space`, the network puts each piece at the beginning of the memory it was last given, so that bulk bytes arrive where
   * they are wanted, mostly without a copy; it asks again after each piece, and never writes past the end of the body.
   */
  space?(): Uint8Array;
  /**
   * The next bytes of the body, at least one. With `space` it is a view of that memory. Without, it is valid only during the
   * call: what is kept must be copied; to give it to a connection within the call is allowed (and copies it).
   */
  piece(bytes: Uint8Array): void;
  end(): void;
  /** The connection closed in the middle. */
  aborted(): void;
}

export interface Connection {
  /** Who is at the other end, for events: never for decisions. */
  readonly remote: string;
  /** Bytes queued and not yet taken by the network. */
  readonly queuedBytes: number;
  /**
   * Queues one whole frame; the head is copied, body parts must not change until they have left. Returns false when the
   * queue is over its bound: the caller should wait for `drained`. On a closed connection the frame is dropped.
   */
  send(head: Uint8Array, body?: readonly Uint8Array[]): boolean;
  /**
   * Starts a frame whose body comes later in pieces: exactly `bodyBytes` in all. Frames that are sent before it has ended,
   * whole or in pieces, wait behind it: keep what must not wait off a connection that streams slowly.
   */
  startFrame(head: Uint8Array, bodyBytes: number): FrameWriter;
  /** Stops and restarts delivery of frames and pieces (back-pressure). */
  pauseReading(): void;
  resumeReading(): void;
  /** Delivery stops at once. What is queued and not yet taken by the network may be lost. */
  close(reason: string): void;
}

export interface FrameWriter {
  /** Takes the bytes as they are: they must not change until they have left. Returns as `send` does; frames behind it do not count. */
  piece(bytes: Uint8Array): boolean;
  /** Ends the frame. With bytes missing (the source failed), the connection is closed: its peer sees `aborted`. */
  end(): void;
}

// ---------------------------------------------------------------- events

export type EventLevel = 'debug' | 'info' | 'warn' | 'error';

/** What operators read, one object per event; `name` is unique in the sources, so that a line leads to its place. */
export interface Events {
  emit(level: EventLevel, name: string, fields?: Readonly<Record<string, unknown>>): void;
}
