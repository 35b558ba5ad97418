/**
 * What one run is like, drawn from its seed: how many nodes, how large things are, how the time goes, which faults there are. Runs that
 * differ in kind reach states that one average run would not ("swarm testing").
 */

import type { ElectorName, LeaseTerms } from '../../core/consensus/engine.ts';
import { windowWritersMax } from '../../core/protocol/chunk-calls.ts';
import type { Mode } from '../../core/protocol/types.ts';
import { drawFaultPlan, type FaultKind, type FaultPlan, soundDiskKinds } from '../../platform/sim/fault-plan.ts';
import type { SimRandom } from '../../platform/sim/random.ts';
import { limitsDefault } from '../../system/chunkserver/limits.ts';
import { type ClientSettings, defaultSettings } from '../../system/client/limits.ts';
import { defaultMasterTiming, type MasterTiming } from '../../system/master/options.ts';
import { defaultReplicaLimits, type ReplicaLimits } from '../../system/rsm/replica.ts';
import type { ChunkStoreOptions } from '../../system/storage/chunk-store.ts';

const kibi = 1024;

/** One chunkserver has a bad disk: bits flip in its chunk files. */
export interface Rot {
  readonly server: number;
  /** Mean time from one bit to the next, and from one search for damage to the next. */
  readonly everyMs: number;
  readonly scrubEveryMs: number;
}

/** How the masters agree, and what their operator does to them. */
export interface MasterGroupDraw {
  readonly elector: ElectorName;
  readonly lease: LeaseTerms | undefined;
  /** Mean time from one transfer of leadership to the next, and from one master whose disk is replaced by an empty one; undefined: there are none. */
  readonly transferEveryMs: number | undefined;
  readonly replaceDiskEveryMs: number | undefined;
}

export interface Scenario {
  readonly masters: number;
  readonly chunkservers: number;
  readonly clients: number;
  readonly replication: number;
  readonly chunkBytes: number;
  /** Files are of both kinds, else all of durability `disk`: then machines may lose power at will. */
  readonly hasMemoryFiles: boolean;
  /** One for each file that all clients append to; the first is strong. */
  readonly logModes: readonly Mode[];
  /** How many files that all clients append to are cut by them too. */
  readonly cutLogs: number;
  /** Writers that a chunk remembers: few, so that some are forgotten between an attempt and the next. */
  readonly windowWriters: number;
  /** How much of a chunk one replica takes from another at a time, in blocks. */
  readonly copyStepBlocks: number;
  /** Buffers for bulk bytes on each chunkserver. */
  readonly bulkBuffers: number;
  /** How many of the records are large, up to a quarter of a chunk: many fill a chunk fast. */
  readonly largeRecordShare: number;
  /** How long the faults go on. */
  readonly stormMs: number;
  readonly faults: FaultPlan;
  /** When all masters and chunkservers lose power at once, counted from the beginning of the storm. */
  readonly blackoutAtMs: number | undefined;
  /** Mean time from one command to drain a chunkserver, or to undo it, to the next; undefined: there are none. */
  readonly drainEveryMs: number | undefined;
  readonly rot: Rot | undefined;
  readonly group: MasterGroupDraw;
  /** Most that a clock is off; the masters allow for a hundredth. */
  readonly clockDriftPpm: number;
  /** The longest pause of a client between two calls. */
  readonly thinkMs: number;
  readonly electionTimeoutMs: number;
  readonly masterTiming: MasterTiming;
  readonly replicaLimits: ReplicaLimits;
  readonly store: Pick<
    ChunkStoreOptions,
    'reserveBytes' | 'journalSegmentBytes' | 'metadataSegmentBytes' | 'checkpointJournalBytes' | 'checkpointChunks'
  >;
  readonly client: ClientSettings;
}

const chunkserversMin = 3;

/** Clocks are given their drift at the beginning, within what the masters allow for. */
const kinds: readonly FaultKind[] = soundDiskKinds.filter((kind) => kind !== 'clockDrift');

export function drawScenario(random: SimRandom): Scenario {
  const hasMemoryFiles = random.chance(0.5);
  const thinkMs = random.pick([5, 50, 200]);
  const stormMs = random.between(3_000, stormMaxMs(thinkMs));
  const hasBlackout = !hasMemoryFiles && random.chance(0.3);
  const chunkBytes = random.pick([64, 64, 64, 128, 128, 256]) * kibi;
  return {
    masters: 3,
    chunkservers: random.pick([chunkserversMin, chunkserversMin, 4]),
    clients: random.pick([2, 3]),
    replication: random.pick([2, 3, 3, 3]),
    chunkBytes,
    hasMemoryFiles,
    logModes: ['strong', ...Array.from({ length: random.below(3) }, () => random.pick(modes))],
    cutLogs: random.fork('cuts').pick([0, 0, 0, 1, 2]),
    stormMs,
    faults: drawFaultPlan(random, { kinds, everyMs: [300, 6_000], longestMs: random.pick([500, 2_000, 5_000]) }),
    blackoutAtMs: hasBlackout ? random.between(500, stormMs) : undefined,
    drainEveryMs: random.fork('drains').pick([undefined, undefined, 300, 1_000, 3_000]),
    rot: hasBlackout ? undefined : drawRot(random.fork('rot')),
    group: drawGroup(random.fork('group')),
    clockDriftPpm: random.pick([100, 4_000]),
    thinkMs,
    electionTimeoutMs: random.pick([150, 150, 400]),
    masterTiming: {
      ...defaultMasterTiming,
      deadAfterMs: random.pick([1_500, 3_000, 10_000]),
      cloneMs: random.pick([3_000, 20_000]),
      openQuietMs: random.pick([3_000, 10_000]),
      scanPauseMs: random.pick([100, 1_000]),
    },
    replicaLimits: drawReplicaLimits(random),
    store: {
      reserveBytes: 1024 * kibi,
      journalSegmentBytes: random.pick([512, 2048]) * kibi,
      metadataSegmentBytes: random.pick([64, 1024]) * kibi,
      checkpointJournalBytes: random.pick([128, 1024]) * kibi,
      checkpointChunks: random.pick([4, 1000]),
    },
    windowWriters: random.pick([1, 2, windowWritersMax]),
    copyStepBlocks: random.fork('copies').pick([1, 1, 2, 16]),
    bulkBuffers: random.fork('buffers').pick([2, 4, limitsDefault.bulkBuffersMax]),
    largeRecordShare: chunkBytes <= 128 * kibi ? random.pick([0.1, 0.4, 0.8]) : 0.1,
    client: { ...defaultSettings, deadlineMs: random.pick([6_000, 15_000]) },
  };
}

/** Clients that hardly pause do in some seconds what others do in many: what is done in a run is bounded, so that there are more runs. */
function stormMaxMs(thinkMs: number): number {
  return thinkMs < 50 ? 4_000 : thinkMs < 200 ? 8_000 : 20_000;
}

/** Leases are shorter or longer than it takes to lose patience. Clocks differ by less than they allow for. */
function drawGroup(random: SimRandom): MasterGroupDraw {
  const durationMs = random.pick([undefined, undefined, 75, 150, 285]);
  return {
    elector: random.pick(['timeout', 'timeout', 'ballot']),
    lease: durationMs === undefined ? undefined : { durationMs, driftMax: 0.01 },
    transferEveryMs: random.pick([undefined, undefined, 300, 2_000]),
    replaceDiskEveryMs: random.pick([undefined, undefined, undefined, 2_000]),
  };
}

function drawRot(random: SimRandom): Rot | undefined {
  if (!random.chance(0.3)) return undefined;
  return {
    server: random.between(1, chunkserversMin),
    everyMs: random.pick([30, 100, 500]),
    scrubEveryMs: random.pick([300, 2_000, 60_000]),
  };
}

const modes: readonly Mode[] = ['strong', 'gfs', 'gfs', 'async', 'async'];

function drawReplicaLimits(random: SimRandom): ReplicaLimits {
  return {
    ...defaultReplicaLimits,
    segmentBytes: random.pick([32, 256, 1024]) * kibi,
    flushDirtyBytes: random.pick([4, 64, 1024]) * kibi,
    flushLogBytes: random.pick([64, 1024]) * kibi,
    keepEntries: random.pick([0, 10, 10_000]),
  };
}
