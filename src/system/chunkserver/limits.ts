/** Every bound and time-out of a chunkserver, by name. Whoever starts one may change some; the defaults suit a few GB of memory. */
import { windowWritersMax } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';

const mebi = 1024 * 1024;

export interface Limits {
  /** Bytes of clients' mutations here: arriving, waiting for their turn, being written. Over it: BUSY. */
  readonly mutationBytesMax: number;
  /** The same for one connection. Over it we stop reading that connection. */
  readonly mutationBytesPerPeerMax: number;
  /** Mutations that wait while their lease recovers. Over it: BUSY. */
  readonly waitingPerLeaseMax: number;
  readonly leasesMax: number;
  /** Writers that the window of a chunk remembers. */
  readonly windowWritersMax: number;
  /** A lease without a mutation for so long is given back. */
  readonly leaseIdleMs: number;
  /** A secondary that has not answered by then has failed. */
  readonly replicaTimeoutMs: number;
  /** For as long the primary tries to have a failed secondary excluded. */
  readonly excludeTimeoutMs: number;
  /** Of that, so long at one master, who waits until the session of the failed one has lapsed. */
  readonly excludeAttemptMs: number;
  /** Pushed bytes that wait for their order. For what comes beyond, those that wait longest are thrown away. */
  readonly stagedBytesMax: number;
  /** Buffers of one packet each for bulk bytes: arriving, staged, being written or passed on. */
  readonly bulkBuffersMax: number;
  /**
   * Of these for clients' mutations; over it: BUSY. The others are for what comes from primaries: what is pushed uses fresh memory without one,
   * up to `stagedBytesMax`, so that who is well is not left behind.
   */
  readonly bulkMutationsMax: number;
  /** Memory for small bodies, of each of two sizes; without any left a body uses fresh memory. */
  readonly smallBuffersBytesMax: number;
  /** Buffers for bulk reads; without one a read uses fresh memory. */
  readonly readBuffersMax: number;
  /**
   * Pushed bytes wait so long for their order, and an order for its bytes. No less than `pushedMaxMs` and `replicaTimeoutMs` together: what is
   * ordered later is not waited for.
   */
  readonly stagedMaxMs: number;
  /** An order that follows its bytes later than that, as its chunk was made equal first, brings them along. */
  readonly pushedMaxMs: number;
  /** A connection whose frame does not go on for so long is closed. */
  readonly bodyStallMs: number;
  readonly pushIdleMs: number;
  /** A next hop of the chain that takes nothing for so long, for each hop from there on, is given up: for as long as that the bytes go past it. */
  readonly hopStallMs: number;
  /** Writes of one group: to the store, or to a secondary. */
  readonly groupBytesMax: number;
  readonly groupMutationsMax: number;
  /** Groups being written at one time; a chunk is in one of them at most. */
  readonly groupsMax: number;
  /** Groups under way to one secondary. */
  readonly appliesMax: number;
  /** Bytes of reads here: being read, or waiting to leave. Over it, only peers with nothing under way get one more. */
  readonly readBytesMax: number;
  readonly readBytesPerPeerMax: number;
  /** A reader that takes nothing of what waits for it for so long is disconnected. */
  readonly readStallMs: number;
  /** Once in so long a page of the inventory goes with a heartbeat, when nothing presses. */
  readonly inventoryEveryMs: number;
  /** Mode async: bytes of one chunk that were acknowledged before all members hold them. Over it, acknowledgements wait. */
  readonly asyncLagBytesMax: number;
  /** Calls that wait for chunks to grow. */
  readonly growthWaitsMax: number;
  /** From the end of one pass over all blocks to the beginning of the next, and from the start of the server to its first. */
  readonly scrubEveryMs: number;
  readonly scrubDelayMs: number;
  readonly scrubBytesPerSecond: number;
  /** The same for a pass that somebody has asked for. */
  readonly scrubHurriedBytesPerSecond: number;
  /** Chunks being cloned at one time. */
  readonly clonesMax: number;
  /** A copy is made in steps of so much, in whole blocks. Each is flushed once, while the next one is fetched: a copy under way has two in memory. */
  readonly copyStepBytes: number;
  /** The same where a primary makes others equal to itself: a packet at most. */
  readonly recoveryStepBytes: number;
}

export const limitsDefault: Limits = {
  mutationBytesMax: 128 * mebi,
  mutationBytesPerPeerMax: 16 * mebi,
  waitingPerLeaseMax: 4096,
  leasesMax: 100_000,
  windowWritersMax,
  leaseIdleMs: 2000,
  replicaTimeoutMs: 3000,
  excludeTimeoutMs: 5000,
  excludeAttemptMs: 2500,
  stagedBytesMax: 192 * mebi,
  bulkBuffersMax: 320,
  bulkMutationsMax: 160,
  smallBuffersBytesMax: 16 * mebi,
  readBuffersMax: 64,
  stagedMaxMs: 4500,
  pushedMaxMs: 1000,
  bodyStallMs: 10_000,
  pushIdleMs: 30_000,
  hopStallMs: 1000,
  groupBytesMax: 8 * mebi,
  groupMutationsMax: 1024,
  groupsMax: 4,
  appliesMax: 4,
  readBytesMax: 64 * mebi,
  readBytesPerPeerMax: 8 * mebi,
  readStallMs: 30_000,
  inventoryEveryMs: 1000,
  asyncLagBytesMax: 16 * mebi,
  growthWaitsMax: 10_000,
  scrubEveryMs: 7 * 24 * 3600 * 1000,
  scrubDelayMs: 10 * 60 * 1000,
  scrubBytesPerSecond: 32 * mebi,
  scrubHurriedBytesPerSecond: 256 * mebi,
  clonesMax: 4,
  copyStepBytes: 4 * packetMaxBytes,
  recoveryStepBytes: packetMaxBytes,
};
