/** One fault under load: how long no write was acknowledged, how long until all members were level again, and whether anything was lost. */
import type { CairnGroup } from '../groups/cairn-group.ts';
import { type Group, until } from '../groups/group.ts';
import type { LoadAnswers } from '../load/loader.ts';
import type { Mesh } from '../network/mesh.ts';
import type { Asking } from '../process/asking.ts';
import { monotonicMs } from '../process/monotonic.ts';
import type { Fault } from './faults.ts';

export const writers = 16;
/** More than can have been on their way to the leader that fails. */
const flowingAfter = writers * 5;
/** Faults come at no fixed phase of heartbeats and time-outs. */
const jitterMs = 300;
const levelDeadlineMs = 60_000;
const timelineFromMs = -300;
const timelineToMs = 1700;
export const timelineSpanMs = 20;

export interface Trial {
  readonly gapMs: number;
  /** From the end of the fault until whoever had failed has applied what was committed then; undefined for systems that do not tell. */
  readonly levelMs: number | undefined;
  readonly partial: PartialTrial | undefined;
  readonly checked: number;
  readonly lost: readonly string[];
  /** Writes per second in spans around the fault, the first of which begins `timelineFromMs` before it. */
  readonly timeline: readonly (readonly [number, number])[];
}

/** What only a partition tells that lasts for a fixed time. */
export interface PartialTrial {
  /** Writes per second until its end, as a share of those before it. */
  readonly rateShare: number;
  /** Whether any write was acknowledged in the last tenth of it. */
  readonly isFlowing: boolean;
  /** Longest time without an acknowledged write after the links had come back. */
  readonly gapAfterMendingMs: number;
  /** Terms, or ballots, that were begun meanwhile; undefined for systems that do not tell. */
  readonly terms: number | undefined;
}

export interface Stage {
  readonly group: Group;
  readonly load: Asking<LoadAnswers>;
  readonly mesh: Mesh | undefined;
  /** How long a partial partition lasts. */
  readonly holdMs: number;
}

export async function runTrial(stage: Stage, fault: Fault, withTimeline: boolean): Promise<Trial> {
  const { group, load, mesh } = stage;
  const at = { group, leader: await group.leader(), mesh };
  await load.ask('flowing', { after: monotonicMs(), count: flowingAfter });
  await delay(-timelineFromMs + Math.random() * jitterMs);
  const before = await termOf(group);
  await fault.prepare?.(at);
  const struck = fault.strike(at);
  const ended = fault.extent === 'whole' ? await passWhole(stage, struck) : await passPartial(stage, struck);
  if (withTimeline) await delay(Math.max(0, struck + timelineToMs - monotonicMs()));
  const span = { from: struck + timelineFromMs, to: struck + timelineToMs, spanMs: timelineSpanMs };
  const rates = withTimeline ? await load.ask('rates', span) : [];
  const timeline = rates.map((rate, i) => [timelineFromMs + i * timelineSpanMs, rate] as const);
  const mendedAt = monotonicMs();
  await fault.mend(at);
  const levelMs = await untilLevel(group, fault.extent === 'whole' ? at.leader : undefined, mendedAt);
  await load.ask('flowing', { after: monotonicMs(), count: writers });
  const gapAfterMendingMs = await load.ask('silence', { from: mendedAt, to: monotonicMs() });
  const terms = before === undefined ? undefined : (await termOf(group))! - before;
  const { checked, lost } = await load.ask('verify', null);
  const { gapMs, rateShare, isFlowing } = ended;
  const partial =
    rateShare === undefined ? undefined : { rateShare, isFlowing: isFlowing === true, gapAfterMendingMs, terms };
  return { gapMs, levelMs, partial, checked, lost, timeline };
}

interface Ended {
  readonly gapMs: number;
  readonly rateShare?: number;
  readonly isFlowing?: boolean;
}

/** Until writes flow again, however long that takes. */
async function passWhole({ load }: Stage, struck: number): Promise<Ended> {
  await load.ask('flowing', { after: struck, count: flowingAfter });
  const gap = await load.ask('largestGap', struck);
  return { gapMs: gap.to - Math.max(gap.from, struck) };
}

async function passPartial({ load, holdMs }: Stage, struck: number): Promise<Ended> {
  await delay(Math.max(0, struck + holdMs - monotonicMs()));
  const until = struck + holdMs;
  const gapMs = await load.ask('silence', { from: struck, to: until });
  const rate = async (from: number, to: number) => (await load.ask('rates', { from, to, spanMs: to - from }))[0]!;
  const usual = await rate(struck + timelineFromMs, struck);
  const isFlowing = (await rate(until - holdMs / 10, until)) > 0;
  return { gapMs, rateShare: (await rate(struck, until)) / Math.max(1, usual), isFlowing };
}

/** @param failed it must have stopped leading, too; undefined: all are to be level */
async function untilLevel(group: Group, failed: number | undefined, since: number): Promise<number | undefined> {
  if (!isCairn(group)) {
    await group.leader();
    return undefined;
  }
  const target = Math.max(...(await group.states()).map((state) => state?.commitIndex ?? 0));
  await until('the members are level', levelDeadlineMs, async () => {
    const states = await group.states();
    const isLevel = (i: number) => (states[i]?.appliedIndex ?? -1) >= target;
    if (failed !== undefined) return isLevel(failed) && states[failed]!.leading === false ? true : undefined;
    return states.every((_, i) => isLevel(i)) ? true : undefined;
  });
  return monotonicMs() - since;
}

/** The highest of any member; undefined for systems that do not tell. */
async function termOf(group: Group): Promise<number | undefined> {
  if (!isCairn(group)) return undefined;
  return Math.max(...(await group.states()).map((state) => state?.term ?? 0));
}

function isCairn(group: Group): group is CairnGroup {
  return 'states' in group;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
