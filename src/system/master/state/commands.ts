/**
 * What the log carries: commands of clients (their handling of a path is decided at apply) and of the leader (all that is not
 * deterministic, servers above all, is decided before). Each is answered with a Result.
 */
import { type ByteReader, ByteWriter } from '../../../core/base/bytes.ts';
import {
  blob,
  bool,
  type Codec,
  decode,
  encode,
  f64,
  list,
  nothing,
  oneOf,
  optional,
  struct,
  type TypeOf,
  text,
  u16,
  u53,
  union,
  varint,
} from '../../../core/base/codec.ts';
import { isErrorCode } from '../../../core/base/errors.ts';
import { ok, type Result, refused } from '../../../core/base/result.ts';
import {
  addressCodec,
  askedFields,
  chunkHandle,
  chunkIndex,
  chunkVersion,
  inodeId,
  nodeId,
  replicasMax,
  serverId,
  settingsFields,
} from '../../../core/protocol/types.ts';

export const reportsPerCommandMax = 4096;
/** Names and chunks that one `reap` collects at most. */
export const reapMax = 1000;

const foundersMax = 64;
/** A file with at most so many chunks goes, and is copied, at once. */
export const inlineChunksMax = 16;
/** Handles that one `takeHandles` takes at most. */
export const handlesMax = 1000;

const servers = list(serverId, replicasMax);

export const command = union({
  /** The first leader's first command. */
  initialise: [1, struct({ clusterId: text, ...settingsFields })],
  /** `placement`: where the first chunk goes if one is to be made; empty: none is wanted. */
  openForWrite: [
    2,
    struct({
      path: text,
      create: oneOf(['never', 'ifMissing', 'exclusive']),
      truncate: bool,
      parents: bool,
      ...askedFields,
      placement: servers,
    }),
  ],
  mkdir: [3, struct({ path: text, parents: bool, ...askedFields })],
  remove: [4, struct({ path: text, recursive: bool })],
  rename: [5, struct({ from: text, to: text, replace: bool })],
  /** Settings of a file, or of what will be made in a directory. */
  set: [6, struct({ path: text, ...askedFields })],
  /** Takes the chunks from index `chunkCount` on off a file. */
  truncate: [15, struct({ inode: inodeId, chunkCount: varint })],
  /** A copy of a file or tree as it is at this point of the log. No lease of a chunk of it may be out. */
  fileSnapshot: [7, struct({ from: text, to: text })],
  /** As `remove`, into the trash; and out of it again, or for good: `inode`, or up to `limit` that were removed before `before`. */
  discard: [8, struct({ path: text, recursive: bool })],
  restore: [9, struct({ inode: inodeId, to: optional(text) })],
  emptyTrash: [10, struct({ inode: optional(inodeId), before: f64, limit: u16 })],
  /** Makes chunk `index` of a file, with its first grant. */
  addChunk: [16, struct({ inode: inodeId, index: chunkIndex, servers })],
  /** The same directly behind `last`, which must be the file's last chunk. */
  adjoinChunk: [23, struct({ inode: inodeId, index: chunkIndex, last: chunkHandle, servers })],
  /** A lease: version + 1 for `servers`, the primary first, out of the present set. */
  grant: [17, struct({ handle: chunkHandle, version: chunkVersion, servers })],
  /** What primaries report: how far chunks have grown, and which leases are given up. */
  recordLengths: [
    18,
    struct({
      reports: list(
        struct({ handle: chunkHandle, version: chunkVersion, length: varint, release: bool }),
        reportsPerCommandMax,
      ),
    }),
  ],
  /** The same of chunks that have become shorter, by a cut, under leases that go on. */
  recordCuts: [
    24,
    struct({
      cuts: list(struct({ handle: chunkHandle, version: chunkVersion, length: varint }), reportsPerCommandMax),
    }),
  ],
  /** A copy was made: `server` joins the set of a sealed chunk, `without` leave it. */
  addReplica: [19, struct({ handle: chunkHandle, version: chunkVersion, server: serverId, without: servers })],
  /** Servers leave the set of a sealed chunk. */
  exclude: [20, struct({ handle: chunkHandle, version: chunkVersion, servers })],
  /** Handles that are used for nothing else: copies of shared chunks get them. */
  takeHandles: [21, struct({ count: u16 })],
  /**
   * A file gets a copy of its own, `into`, of the chunk that it shares at `index`. `servers` have made the copy; `kept` have taken the
   * next version for what stays of the shared chunk, so that readers who believe it is the file's are told.
   */
  splitChunk: [
    22,
    struct({
      ...{ inode: inodeId, index: chunkIndex, handle: chunkHandle, version: chunkVersion },
      ...{ into: chunkHandle, servers, kept: servers },
    }),
  ],
  registerServer: [32, struct({ server: serverId, address: addressCodec, rack: text })],
  drainServer: [33, struct({ server: serverId, draining: bool })],
  /** What the group was founded with; see roster.ts. */
  foundMasters: [
    48,
    struct({ masters: list(struct({ id: u16, address: addressCodec, directory: u53 }), foundersMax) }),
  ],
  /** A master is to belong to the group. */
  bookMaster: [49, struct({ id: u16, address: addressCodec, directory: u53, onlyIfMember: bool })],
  moveMaster: [50, struct({ node: nodeId, address: addressCodec })],
  dropMaster: [51, struct({ id: u16 })],
  /** Collects up to `limit` names and chunks of what is detached. */
  reap: [34, struct({ limit: u16 })],
  /** Lays out about `limit` entries more of the copies that are not complete. */
  layOut: [35, struct({ limit: u16 })],
  /** The same for names behind `after` in one directory, which somebody wants to list. */
  layOutNames: [36, struct({ directory: inodeId, after: text, limit: u16 })],
  /** The same for what is at a path, or for chunk `index` of a file. */
  settlePath: [37, struct({ path: text })],
  settleFile: [38, struct({ inode: inodeId, index: chunkIndex })],
});
export type Command = TypeOf<typeof command>;
export type CommandOf<Kind extends Command['kind']> = Extract<Command, { readonly kind: Kind }>;

// ---------------------------------------------------------------- results

const granted = struct({ handle: chunkHandle, version: chunkVersion, servers });
export type Granted = TypeOf<typeof granted>;

/** `record` is the inode as it was then: a retry gets the same answer whatever has happened since. */
export const openResult = struct({ inode: inodeId, record: blob, created: bool, grant: optional(granted) });
export type OpenResult = TypeOf<typeof openResult>;
export const madeResult = struct({ inode: inodeId, record: blob });
export type MadeResult = TypeOf<typeof madeResult>;
export const grantResult = granted;
export const reapResult = struct({ more: bool });
export type ReapResult = TypeOf<typeof reapResult>;
export const bookedResult = struct({ node: nodeId });
export const handlesResult = struct({ first: chunkHandle });
export type HandlesResult = TypeOf<typeof handlesResult>;
export const laidOutResult = struct({ more: bool });
export type LaidOutResult = TypeOf<typeof laidOutResult>;
export const restoredResult = struct({ path: text });
export const emptiedResult = struct({ removed: varint, more: bool });
export const doneResult = nothing;

export function encodeCommand(value: Command): Uint8Array {
  return encode(command, value);
}
/** @throws CairnError PROTOCOL */
export function decodeCommand(bytes: Uint8Array): Command {
  return decode(command, bytes);
}

function resultOf<T>(inner: Codec<T>): Codec<Result<T>> {
  return {
    write(w: ByteWriter, result: Result<T>) {
      w.u8(result.ok ? 1 : 0);
      if (result.ok) return inner.write(w, result.value);
      w.text(result.code);
      w.text(result.message);
    },
    read(r: ByteReader): Result<T> {
      if (r.u8() === 1) return ok(inner.read(r));
      const code = r.text();
      return refused(isErrorCode(code) ? code : 'INTERNAL', r.text());
    },
  };
}

const scratch = new ByteWriter(4096);

/** As long as it must be: sessions keep it. */
export function encodeResult<T>(codec: Codec<T>, result: Result<T>): Uint8Array {
  scratch.reset();
  resultOf(codec).write(scratch, result);
  return scratch.finish();
}
/** @throws CairnError PROTOCOL */
export function decodeResult<T>(codec: Codec<T>, bytes: Uint8Array): Result<T> {
  return decode(resultOf(codec), bytes);
}
