/** What a master answers: calls of clients and of chunkservers. Calls with an `id` change the metadata: exactly once. */
import {
  bool,
  f64,
  keptBlob,
  list,
  nothing,
  oneOf,
  optional,
  struct,
  type TypeOf,
  text,
  u16,
  u32,
  u53,
  union,
  varint,
} from '../base/codec.ts';
import { call } from './call.ts';
import { additionState, introductionFrame, standing } from './membership.ts';
import {
  addressCodec,
  askedFields,
  attributes,
  chunkHandle,
  chunkIndex,
  chunkVersion,
  commandId,
  fileKind,
  grant,
  inodeId,
  location,
  nodeId,
  replica,
  serverId,
} from './types.ts';

export const readdirPageMax = 1000;
export const locatePageMax = 256;
export const inventoryPageMax = 4096;
export const trashPageMax = 500;
export const changeWaitMaxMs = 10_000;

const entry = struct({ name: text, inode: inodeId, kind: fileKind, attributes: optional(attributes) });
export type DirectoryEntry = TypeOf<typeof entry>;

export const masterStatus = struct({
  /** Configured. */
  id: u16,
  /** Raised each time it lost its disk. */
  incarnation: u16,
  pid: u32,
  address: addressCodec,
  standing,
  role: oneOf(['follower', 'preCandidate', 'candidate', 'leader', 'down']),
  engine: oneOf(['raft', 'paxos']),
  elector: oneOf(['timeout', 'ballot']),
  /** Raft's term, or the round of the highest ballot seen. */
  term: varint,
  commitIndex: varint,
  appliedIndex: varint,
  durableIndex: varint,
  logBytes: varint,
  /** Entries of the leader's log that it is not known to have; undefined for the leader, and while nothing is known. */
  lag: optional(varint),
});
export type MasterStatus = TypeOf<typeof masterStatus>;

/** `draining`: it is being emptied; `drained`: no chunk needs it any more. */
export const serverState = oneOf(['healthy', 'suspect', 'dead', 'drained', 'draining']);
export const serverStatus = struct({
  id: serverId,
  pid: u32,
  address: addressCodec,
  rack: text,
  state: serverState,
  /** Replicas that it holds. */
  chunks: varint,
  /** Chunks that count on it: they have it in their set. */
  needed: varint,
  usedBytes: varint,
  totalBytes: varint,
  freeBytes: varint,
  /** Mode async: acknowledged by its primaries, not yet on all replicas. */
  lagBytes: varint,
  /** Milliseconds since its last heartbeat; undefined if this leader has had none. */
  silentMs: optional(f64),
});
export type ServerStatus = TypeOf<typeof serverStatus>;

const trashed = struct({
  /** For the next page. */
  key: text,
  inode: inodeId,
  kind: fileKind,
  /** Where it was. */
  path: text,
  /** Wall time, ms since 1970. */
  removedAt: f64,
});
export type Trashed = TypeOf<typeof trashed>;

const lengthReport = struct({
  handle: chunkHandle,
  version: chunkVersion,
  length: varint,
  /** The primary gives the lease up: the chunk is sealed at this length. */
  release: bool,
});
export type LengthReport = TypeOf<typeof lengthReport>;

const held = struct({ handle: chunkHandle, version: chunkVersion, length: varint });

const statFields = { path: text };
const readdirFields = { path: text, after: text, limit: u16, withAttributes: bool };
const locateFields = { inode: inodeId, first: chunkIndex, count: u16 };
const pageFields = { entries: list(entry, readdirPageMax), more: bool };
const locatedFields = { attributes, locations: list(location, locatePageMax) };

/**
 * What becomes of a chunk that is asked for and not there. A write makes it, wherever the file ends; an append only directly behind `last`,
 * the chunk that was full, or not at all where it was last: else the file was cut meanwhile (CHUNK_CUT), and there would be a hole before it.
 */
const ifMissing = union({ make: [1, nothing], makeBehind: [2, struct({ last: chunkHandle })], refuse: [3, nothing] });
export type IfMissing = TypeOf<typeof ifMissing>;

export const masterCalls = {
  // ---- clients: reading
  /** Who leads; answered by every master. `leader` is undefined while none is known. */
  whoLeads: call(
    1,
    nothing,
    struct({ clusterId: text, leader: optional(addressCodec), masters: list(addressCodec, 64), protocolVersion: u16 }),
  ),
  stat: call(2, struct(statFields), attributes),
  /** Entries in byte order of their names, after `after`; at most `limit` (≤ readdirPageMax). */
  readdir: call(3, struct(readdirFields), struct(pageFields)),
  /** Chunks first … first+count−1 of a file, those that exist; count ≤ locatePageMax. */
  locate: call(4, struct(locateFields), struct(locatedFields)),
  /** What was removed and can be restored, in the order in which it was removed, behind `after`. */
  trash: call(
    7,
    struct({ after: text, limit: u16 }),
    struct({ entries: list(trashed, trashPageMax), more: bool, retentionMs: f64 }),
  ),
  /** Everything `status`, `servers` and `df` show. `masters` is what this master knows of each. */
  status: call(
    5,
    nothing,
    struct({
      clusterId: text,
      /** Configured id. */
      leader: optional(u16),
      masters: list(masterStatus, 64),
      servers: list(serverStatus, 4096),
      files: varint,
      directories: varint,
      chunks: varint,
      underReplicatedChunks: varint,
      lostChunks: varint,
      replication: u16,
    }),
  ),

  /**
   * Attributes of a file: at once if its length, number of chunks, or open last chunk are not what is `known`, else when they change, or
   * after `waitMs` at most (and never more than changeWaitMaxMs). The growth of an open chunk is its primary's to tell.
   */
  awaitChange: call(
    6,
    struct({
      inode: inodeId,
      known: struct({ size: varint, chunkCount: varint, tailVersion: optional(chunkVersion) }),
      waitMs: f64,
    }),
    struct({ attributes }),
  ),

  /**
   * The same reads, answered by any master from what it has applied: everything that was acknowledged `ageMs` before the answer is in it. TOO_OLD
   * if that is more than `maxAgeMs`. In locations nobody knows which servers are up.
   */
  shadow: call(
    8,
    struct({
      maxAgeMs: f64,
      ask: union({
        stat: [1, struct(statFields)],
        readdir: [2, struct(readdirFields)],
        locate: [3, struct(locateFields)],
      }),
    }),
    struct({
      ageMs: f64,
      answer: union({
        stat: [1, struct({ attributes })],
        readdir: [2, struct(pageFields)],
        locate: [3, struct(locatedFields)],
      }),
    }),
  ),

  // ---- clients: changing
  /**
   * Opens for writing: makes the file as `create` says, empties it with `truncate`. With `allocate` the first chunk of a new or emptied
   * file is made in the same log entry and its grant comes back, so that a small file costs one entry. `isSmall`: no more will come than one
   * small mutation; such files of one moment are put together, so that they share messages.
   */
  openForWrite: call(
    16,
    struct({
      id: commandId,
      path: text,
      create: oneOf(['never', 'ifMissing', 'exclusive']),
      truncate: bool,
      allocate: bool,
      parents: bool,
      ...askedFields,
      isSmall: bool,
    }),
    struct({ attributes, created: bool, grant: optional(grant) }),
  ),
  /**
   * The right to mutate chunk `index` of a file: grants a lease, or repeats the open one; of a chunk that the file does not have as `ifMissing`
   * says. `after`: the version whose grant did not work for the client, with the servers that failed it; the answer is a later version, or an error.
   * `chunkBytes`: what the client takes it for; STALE_HANDLE if it has changed since, for then all its positions are others.
   */
  acquire: call(
    17,
    struct({
      id: commandId,
      inode: inodeId,
      index: chunkIndex,
      chunkBytes: varint,
      after: optional(struct({ version: chunkVersion, failed: list(serverId, 16) })),
      ifMissing,
    }),
    struct({ grant, created: bool }),
  ),
  /** Takes the chunks from index `chunkCount` on off a file; the last that stays is cut by its primary. `chunkBytes`: as for `acquire`. */
  truncate: call(31, struct({ id: commandId, inode: inodeId, chunkCount: varint, chunkBytes: varint }), attributes),
  mkdir: call(18, struct({ id: commandId, path: text, parents: bool, ...askedFields }), attributes),
  /** A directory must be empty unless `recursive`: then it goes in one step, its content is collected afterwards. */
  remove: call(19, struct({ id: commandId, path: text, recursive: bool }), nothing),
  /** `replace`: an existing file, or empty directory, at `to` gives way (as rename(2)). */
  rename: call(20, struct({ id: commandId, from: text, to: text, replace: bool }), nothing),
  /** Changes what was asked for of a file, for all that happens after the answer; of a directory, for what is made in it from then on. */
  set: call(21, struct({ id: commandId, path: text, ...askedFields }), attributes),
  /** As `remove`, but what goes can be restored for a while: `isKept`, if this cluster has a trash. */
  discard: call(29, struct({ id: commandId, path: text, recursive: bool }), struct({ isKept: bool })),
  /** Puts something from the trash to `to`, or where it was; makes missing directories. The answer is where it is now. */
  restore: call(30, struct({ id: commandId, inode: inodeId, to: optional(text) }), struct({ path: text })),
  /** Removes up to `trashPageMax` things from the trash for good, or the one that is named. */
  emptyTrash: call(25, struct({ id: commandId, inode: optional(inodeId) }), struct({ removed: varint, more: bool })),
  /** A copy of a file or tree at one point of the log, which shares its chunks until either is changed (GFS §3.4). */
  fileSnapshot: call(23, struct({ id: commandId, from: text, to: text }), attributes),
  /** Has a chunkserver emptied: its chunks go elsewhere, it gets no new ones. */
  drain: call(24, struct({ id: commandId, server: serverId, draining: bool }), nothing),

  // ---- operating the group of masters: to be repeated until done
  /** Answered once that master leads. */
  transferLeadership: call(26, struct({ id: u16 }), nothing),
  /** Takes the master that runs at the address into the group; goes on by itself until it votes. */
  addMaster: call(27, struct({ address: addressCodec }), additionState),
  /** Takes a master out of the group; `done` once its configuration is without it. */
  removeMaster: call(28, struct({ id: u16 }), struct({ done: bool })),

  // ---- chunkservers
  /** First call of a chunkserver on a connection. Its id is for ever bound to its directory; `incarnation` is new at each start. */
  register: call(
    32,
    struct({
      clusterId: text,
      server: serverId,
      incarnation: u53,
      address: addressCodec,
      rack: text,
      pid: u32,
      protocolVersion: u16,
    }),
    struct({ sessionMs: f64, heartbeatMs: f64 }),
  ),
  /**
   * Renews the server's session. `lengths`: what it has grown or released as primary. `inventory`: a page of what it holds, ascending from
   * where the last page ended. The answer comes once leadership was confirmed after the arrival.
   */
  heartbeat: call(
    33,
    struct({
      server: serverId,
      incarnation: u53,
      usedBytes: varint,
      totalBytes: varint,
      freeBytes: varint,
      lagBytes: varint,
      chunks: varint,
      lengths: list(lengthReport, inventoryPageMax),
      inventory: list(held, inventoryPageMax),
      /** The page covers handles in [inventoryFrom, inventoryTo]: a chunk of the table in that range that is not listed is missing there. */
      inventoryFrom: varint,
      inventoryTo: varint,
      /** Replicas found damaged (bad blocks, write errors): the server serves them no longer. */
      damaged: list(chunkHandle, inventoryPageMax),
    }),
    struct({
      /** The session holds for this long from when the heartbeat was sent. */
      sessionMs: f64,
      /** To be removed. */
      garbage: list(held, inventoryPageMax),
      /** No chunk has this handle yet, nor a higher one. */
      nextHandle: varint,
      /** The lengths are in the log. Else they are to be told again: a session does not wait for masters that can log nothing. */
      hasLengths: bool,
      /** Which leader says so, and how many sessions it has given this server so far; what it did not give, but assumed when it was elected, counts. */
      session: struct({ leader: u53, number: varint }),
    }),
  ),
  /** A primary asks for a grant without the servers that failed it: it goes on under the version that comes back. */
  exclude: call(
    34,
    struct({ server: serverId, handle: chunkHandle, version: chunkVersion, failed: list(serverId, 16) }),
    struct({ grant }),
  ),

  // ---- masters among themselves
  /** One-way: a message of the engine, which is the body. */
  consensus: call(48, struct({ from: nodeId, to: nodeId, epoch: varint }), nothing),
  /** One part of a snapshot, which is the body; parts come in order. `checksum`: CRC-32 of the bytes of all parts up to this one. */
  snapshotPart: call(
    49,
    struct({
      from: nodeId,
      to: nodeId,
      epoch: varint,
      term: varint,
      index: varint,
      point: keptBlob,
      part: varint,
      last: bool,
      checksum: u32,
    }),
    struct({ nextPart: varint }),
  ),
  masterStatus: call(50, nothing, masterStatus),
  /** Answered by every master that runs: its time of day, ms since 1970. */
  timeOfDay: call(54, nothing, struct({ wallNow: f64 })),
  /** Answered by the leader, once its leadership was confirmed: an index of the log that covers all that was acknowledged before the question. */
  committed: call(53, nothing, struct({ index: varint })),
  /** Who are you? Answered by every master that runs; with `to`, messages of the group may follow on the connection. */
  introduce: call(51, introductionFrame, introductionFrame),
  /** A master without a name asks the leader for one: it was added, or has lost what it held. */
  joinGroup: call(52, introductionFrame, struct({ node: nodeId, bootstrap: list(nodeId, 64) })),
} as const;

/** What a chunkserver answers its master, over the connection that the server opened. */
export const serverOrders = {
  /** Copy a chunk from a member, block by block, verified; whatever differs is replaced. No faster than asked, if that is not 0. */
  clone: call(
    64,
    struct({ handle: chunkHandle, version: chunkVersion, from: replica, bytesPerSecond: varint }),
    struct({ length: varint }),
  ),
  /** Take over as primary under this grant: make all members equal, then report the length; with `seal` give the lease up at once. */
  recover: call(65, struct({ grant, seal: bool }), struct({ length: varint })),
  /** Give the lease up: no mutation under this version succeeds afterwards. */
  release: call(66, struct({ handle: chunkHandle, version: chunkVersion }), struct({ length: varint })),
  drop: call(67, struct({ handles: list(held, inventoryPageMax) }), nothing),
  /** What replica of the chunk there is, up to which mutation, and whether it is sound; its version is undefined if there is none: sound then if there never was any. */
  holds: call(
    69,
    struct({ handle: chunkHandle }),
    struct({ version: optional(chunkVersion), length: varint, isSound: bool, serial: varint }),
  ),
  /**
   * Of a sealed chunk that several files share: make a copy of the replica under the handle `into`, with this version, and take the next
   * version for the replica itself, so that readers notice. A replica shorter than `length` stays as it is: it must not come before the others.
   */
  split: call(
    68,
    struct({ handle: chunkHandle, version: chunkVersion, into: chunkHandle, length: varint }),
    struct({ length: varint }),
  ),
} as const;
