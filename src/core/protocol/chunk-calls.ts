/** What a chunkserver answers: calls of clients and of other chunkservers. */
import {
  bool,
  f64,
  list,
  nothing,
  optional,
  struct,
  type TypeOf,
  u16,
  u32,
  u53,
  union,
  varint,
} from '../base/codec.ts';
import { call } from './call.ts';
import { chunkHandle, chunkVersion, grant, mutationSerial, replica, replicasMax, serverId } from './types.ts';

export const recordsPerMutationMax = 1024;
export const lengthsPageMax = 1000;
/** Appends of one writer that the exactly-once window remembers per chunk. */
export const windowPerWriterMax = 64;

/** Records of one writer, one after another in the body: sequences `firstSequence`, +1, …; `lengths` says where each ends. */
const appendRecords = struct({
  writer: u53,
  firstSequence: varint,
  lengths: list(varint, recordsPerMutationMax),
});

export const mutationKind = union({
  write: [1, struct({ offset: varint })],
  append: [2, appendRecords],
});
export type MutationKind = TypeOf<typeof mutationKind>;

const windowEntry = struct({ writer: u53, sequence: varint, offset: varint, lengthBytes: varint });

/** A mutation with its place in the primary's order, for the secondaries. `offset` and `lengthBytes` are decided. */
const ordered = struct({
  handle: chunkHandle,
  version: chunkVersion,
  serial: mutationSerial,
  offset: varint,
  bytes: varint,
  /** Length of the chunk afterwards. */
  lengthBytes: varint,
  window: list(windowEntry, recordsPerMutationMax),
  sync: bool,
  /** Where the bytes are: in this message's body at this place, or pushed before under this id. */
  from: union({ body: [1, struct({ at: varint })], pushed: [2, struct({ dataId: u53 })] }),
});
export type OrderedMutation = TypeOf<typeof ordered>;

export const chunkCalls = {
  /**
   * A mutation, to the primary; the body is its bytes (1 … packetMaxBytes), `crc` their CRC-32. Answered when every replica of the grant holds it.
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
  /** Present lengths, in the order asked; undefined for a chunk that is not here. */
  lengths: call(
    3,
    struct({ handles: list(chunkHandle, lengthsPageMax) }),
    struct({ lengths: list(optional(varint), lengthsPageMax) }),
  ),

  // ---- among chunkservers
  /** Bytes of a mutation on their way down the chain; kept under `dataId` until ordered. `chain`: the hops that are left after this one. */
  push: call(16, struct({ dataId: u53, crc: u32, chain: list(replica, replicasMax) }), nothing),
  /** The primary's order: mutations of one or many chunks, each chunk's in serial order; answered when all are held as `sync` asks. */
  apply: call(17, struct({ from: serverId, mutations: list(ordered, 4096) }), nothing),
  /** For recovery and cloning: stored checksums of a chunk's blocks and its writer windows. */
  image: call(
    18,
    struct({ handle: chunkHandle }),
    struct({
      version: chunkVersion,
      serial: mutationSerial,
      lengthBytes: varint,
      blockChecksums: list(u32, 65_536),
      window: list(windowEntry, 1_000_000),
    }),
  ),
  /**
   * The primary of a new version makes a secondary equal to itself: the secondary takes the version (refusing every older one from now on), length and
   * window, and the blocks named, whose bytes are the body, in order. Several calls may be needed: `done` is set in the last.
   */
  adopt: call(
    19,
    struct({
      handle: chunkHandle,
      version: chunkVersion,
      serial: mutationSerial,
      lengthBytes: varint,
      window: list(windowEntry, 1_000_000),
      blocks: list(struct({ block: varint, crc: u32 }), 64),
      done: bool,
    }),
    nothing,
  ),
  /** Of the process: for `status` and tests. */
  describe: call(
    32,
    nothing,
    struct({ server: serverId, pid: u32, chunks: varint, usedBytes: varint, sessionLeftMs: f64, port: u16 }),
  ),
} as const;
