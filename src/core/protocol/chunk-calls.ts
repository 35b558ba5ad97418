/** What a chunkserver answers: calls of clients and of other chunkservers. */
import {
  bool,
  f64,
  list,
  nothing,
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
import type { ErrorCode } from '../base/errors.ts';
import { call } from './call.ts';
import { chunkHandle, chunkVersion, grant, mutationSerial, replica, replicasMax, serverId } from './types.ts';

export const recordsPerMutationMax = 1024;
export const lengthsPageMax = 1000;
/** Mutations in one `apply`. */
export const mutationsPerApplyMax = 4096;
/**
 * Appends of one writer that the exactly-once window remembers per chunk: its highest sequences. A writer therefore has no more
 * than this many appends unanswered at one time; a sequence that lies further back is refused with UNKNOWN_OUTCOME.
 */
export const windowPerWriterMax = 1024;
/**
 * Writers that a chunk's window remembers; the one that appended longest ago is forgotten first. The window keeps under which version that
 * happened last: a mutation that was sent before under that version or an earlier one, and is not remembered, may be a forgotten one. It is
 * refused with UNKNOWN_OUTCOME.
 */
export const windowWritersMax = 256;

/** A mutation that is answered with one of these was not carried out, and will not be: it was refused before it had its place. */
export const refusedCodes: ReadonlySet<ErrorCode> = new Set([
  'BUSY',
  'CHECKSUM_MISMATCH',
  'STALE_VERSION',
  'NOT_PRIMARY',
  'LEASE_EXPIRED',
]);

/** A call that waits for a change is answered after so long, whatever there is. */
export const growthWaitMaxMs = 10_000;

export const scrubFindingsMax = 1000;

/** The lowest version under which the same was sent before; undefined the first time. */
const since = optional(chunkVersion);

/** Records of one writer, one after another in the body: sequences `firstSequence`, +1, …; `lengths` says where each ends. */
const appendRecords = struct({
  writer: u53,
  since,
  firstSequence: varint,
  lengths: list(varint, recordsPerMutationMax),
});

export const mutationKind = union({
  write: [1, struct({ offset: varint })],
  append: [2, appendRecords],
  /** Makes the chunk `lengthBytes` long: cuts it, or adds zeros. Without a body; exactly once, as a record of its writer. */
  resize: [3, struct({ writer: u53, since, sequence: varint, lengthBytes: varint })],
});
export type MutationKind = TypeOf<typeof mutationKind>;

/** Records of one writer that lie one after another from `offset`, with sequences `firstSequence`, +1, … */
const windowRun = struct({
  writer: u53,
  firstSequence: varint,
  offset: varint,
  lengths: list(varint, recordsPerMutationMax),
});
export type WindowRun = TypeOf<typeof windowRun>;
/** With the mark of what was forgotten, which is no record: writer 0, the version as its sequence. */
const windowRuns = list(windowRun, windowWritersMax * windowPerWriterMax + 1);

/**
 * With the lease: of what is acknowledged, which every member holds. Without it: of what is here, which is more where acknowledgements are
 * still to come, and less where a machine has lost bytes of durability memory with its power.
 */
const lengthHere = struct({ bytes: varint, hasLease: bool });
export type LengthHere = TypeOf<typeof lengthHere>;

/** `length`: of what is acknowledged where the lease is, else of what is here. */
const presentChunk = struct({ version: chunkVersion, length: varint, isOpen: bool });

/** What a replica of a chunk is: compared before it is changed. */
const replicaState = struct({ version: chunkVersion, serial: mutationSerial, lengthBytes: varint });

/**
 * A mutation with its place in the primary's order, for the secondaries. `offset` and `lengthBytes` are decided; `crc` is the
 * CRC-32 of its bytes.
 */
const ordered = struct({
  handle: chunkHandle,
  version: chunkVersion,
  serial: mutationSerial,
  offset: varint,
  bytes: varint,
  crc: u32,
  /** Length of the chunk afterwards. */
  lengthBytes: varint,
  window: list(windowRun, recordsPerMutationMax),
  /** It makes the chunk shorter: there are no bytes. */
  isCut: bool,
  sync: bool,
  /** Where the bytes are: at this place of this message's body, or of what was pushed before under this id. */
  from: union({ body: [1, struct({ at: varint })], pushed: [2, struct({ dataId: u53, at: varint })] }),
});
export type OrderedMutation = TypeOf<typeof ordered>;

export const chunkCalls = {
  /**
   * A mutation, to the primary; the body is its bytes (1 … packetMaxBytes; none of a resize), `crc` their CRC-32. Answered when every replica of the grant holds it.
   * Append: `offsets` says where each record landed; fewer offsets than records: the chunk is full, the rest belongs to the next one.
   */
  mutate: call(
    1,
    struct({ grant, kind: mutationKind, crc: u32, chunkBytes: varint }),
    struct({ offsets: list(varint, recordsPerMutationMax), lengthBytes: varint }),
  ),
  /** Up to packetMaxBytes at `offset`; the body has what there is before the end of the chunk. `crc` is over the body. */
  read: call(
    2,
    struct({ handle: chunkHandle, offset: varint, length: varint }),
    struct({ crc: u32, chunkLength: varint, version: chunkVersion }),
  ),
  /** In the order asked; undefined for a chunk that is not here. */
  lengths: call(
    3,
    struct({ handles: list(chunkHandle, lengthsPageMax) }),
    struct({ lengths: list(optional(lengthHere), lengthsPageMax) }),
  ),

  /**
   * Answers what the chunk is here: at once if that is not what is `known`, else when it changes, or after `waitMs` at most (and never
   * more than growthWaitMaxMs). `isOpen`: its lease is here, so that growth is told here.
   */
  awaitGrowth: call(4, struct({ handle: chunkHandle, known: optional(presentChunk), waitMs: f64 }), presentChunk),

  // ---- among chunkservers
  /** Bytes of a mutation on their way down the chain; kept under `dataId` until ordered. `chain`: the hops that are left after this one. */
  push: call(16, struct({ dataId: u53, crc: u32, chain: list(replica, replicasMax) }), nothing),
  /**
   * The primary's order: mutations of one or many chunks, each chunk's in serial order; answered when all are held as `sync` asks, but for those
   * in `failures` (`at` in the list of the request).
   */
  apply: call(
    17,
    struct({ from: serverId, mutations: list(ordered, mutationsPerApplyMax) }),
    struct({ failures: list(struct({ at: varint, code: text, message: text }), mutationsPerApplyMax) }),
  ),
  /**
   * For recovery and cloning: stored checksums of a chunk's blocks and its writer windows. With `fence` the replica refuses, from before the
   * image is taken, every mutation of a lower version. A replica that is not here answers CHUNK_MISSING, and is fenced all the same.
   */
  image: call(
    18,
    struct({ handle: chunkHandle, fence: optional(chunkVersion) }),
    struct({
      version: chunkVersion,
      serial: mutationSerial,
      lengthBytes: varint,
      blockChecksums: list(u32, 65_536),
      window: windowRuns,
    }),
  ),
  /**
   * The primary of a new version, `under`, makes a secondary equal to itself: the secondary takes the blocks named, whose bytes are the body, in
   * order, and then is what the request says; from now on it refuses every version below `under`. `base` is the state that it must be in
   * (undefined: not here), else REPLICA_FAILED: so an adoption that was overtaken changes nothing. What is not in `blocks` must be equal
   * already. When one call does not carry all blocks they come in ascending order; each call but the last leaves version and serial as
   * they were, so that half a copy is never taken for a whole one, ends where a record ends, within a block if need be, and has the window entries of the
   * records that lie whole in it, and of the resizes that it knew before.
   */
  adopt: call(
    19,
    struct({
      handle: chunkHandle,
      under: chunkVersion,
      base: optional(replicaState),
      version: chunkVersion,
      serial: mutationSerial,
      lengthBytes: varint,
      window: windowRuns,
      blocks: list(struct({ block: varint, crc: u32 }), 64),
    }),
    nothing,
  ),
  /** The scrubber: `now` begins a pass, or hurries the one under way; answers how the present pass stands, or the last one ended. */
  scrub: call(
    33,
    struct({ now: bool }),
    struct({
      isRunning: bool,
      /** Wall times, ms since 1970. */
      startedAt: optional(f64),
      finishedAt: optional(f64),
      chunks: varint,
      chunksTotal: varint,
      bytes: varint,
      /** Found in this pass; `blocks` 0: the file as a whole. */
      damaged: list(struct({ handle: chunkHandle, blocks: varint }), scrubFindingsMax),
    }),
  ),
  /** Of the process: for `status` and tests. */
  describe: call(
    32,
    nothing,
    struct({ server: serverId, pid: u32, chunks: varint, usedBytes: varint, sessionLeftMs: f64, port: u16 }),
  ),
} as const;
