/**
 * Which faults a run has, and how often: drawn per seed ("swarm testing", Groce et al. 2012). A run in which only some
 * kinds are active, at rates of its own, reaches states that a run with a little of everything does not.
 */
import type { SimRandom } from './random.ts';

const networkKinds = [
  'partition',
  'isolate',
  'blackhole',
  'pairPartition',
  'slowLink',
  'lossyLink',
  'resetConnections',
] as const;

export const faultKinds = [
  // processes and machines
  'kill',
  'powerLoss',
  'vanish',
  'pause',
  'clockDrift',
  'wallJump',
  ...networkKinds,
  // disks
  'diskStall',
  'diskSlow',
  'diskFull',
  'readErrors',
  'writeErrors',
  'syncErrors',
  'tornWrites',
  'misdirectedWrites',
  'lostWrites',
  'bitRot',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Kinds that harm what is sent. */
export const networkHarm: ReadonlySet<FaultKind> = new Set<FaultKind>(networkKinds);

/** Kinds that harm what a disk holds, or fail its operations: redundancy must make up for them. */
export const diskDamage: ReadonlySet<FaultKind> = new Set<FaultKind>([
  'diskFull',
  'readErrors',
  'writeErrors',
  'syncErrors',
  'tornWrites',
  'misdirectedWrites',
  'lostWrites',
  'bitRot',
]);

/** Kinds during which a node does nothing. */
export const takesDown: ReadonlySet<FaultKind> = new Set<FaultKind>([
  'kill',
  'powerLoss',
  'vanish',
  'pause',
  'isolate',
  'diskStall',
]);

export interface PlannedFault {
  readonly kind: FaultKind;
  /** Mean time from one to the next. */
  readonly everyMs: number;
  /** How long one lasts. Faults of a moment take none of it. */
  readonly lastsMs: readonly [number, number];
}

export type FaultPlan = readonly PlannedFault[];

export interface SwarmOptions {
  /** Those to draw from; all that leave the disks sound by default. */
  readonly kinds?: readonly FaultKind[];
  /** The bounds for `everyMs` and for the longest of `lastsMs`. */
  readonly everyMs?: readonly [number, number];
  readonly longestMs?: number;
}

export const soundDiskKinds: readonly FaultKind[] = faultKinds.filter((kind) => !diskDamage.has(kind));

/** Each kind is active in half of all plans; at least one is. */
export function drawFaultPlan(random: SimRandom, options: SwarmOptions = {}): FaultPlan {
  const kinds = options.kinds ?? soundDiskKinds;
  const [often, seldom] = options.everyMs ?? [500, 10_000];
  const longestMs = options.longestMs ?? 5_000;
  const sure = random.pick(kinds);
  return kinds
    .filter((kind) => random.chance(0.5) || kind === sure)
    .map((kind) => {
      const mostMs = random.between(Math.min(50, longestMs), longestMs);
      return { kind, everyMs: random.between(often, seldom), lastsMs: [random.between(1, mostMs), mostMs] as const };
    });
}
