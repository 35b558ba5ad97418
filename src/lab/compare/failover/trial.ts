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
  /** From the end of the fault until the member that had failed has applied what was committed then. */
  readonly levelMs: number | undefined;
  readonly checked: number;
  readonly lost: readonly string[];
  /** Writes per second in spans around the fault, the first of which begins `timelineFromMs` before it. */
  readonly timeline: readonly (readonly [number, number])[];
}

export interface Stage {
  readonly group: Group;
  readonly load: Asking<LoadAnswers>;
  readonly mesh: Mesh | undefined;
}

export async function runTrial({ group, load, mesh }: Stage, fault: Fault, withTimeline: boolean): Promise<Trial> {
  const at = { group, leader: await group.leader(), mesh };
  await load.ask('flowing', { after: monotonicMs(), count: flowingAfter });
  await delay(-timelineFromMs + Math.random() * jitterMs);
  await fault.prepare?.(at);
  const struck = fault.strike(at);
  await load.ask('flowing', { after: struck, count: flowingAfter });
  if (withTimeline) await delay(Math.max(0, struck + timelineToMs - monotonicMs()));
  const gap = await load.ask('largestGap', struck);
  const span = { from: struck + timelineFromMs, to: struck + timelineToMs, spanMs: timelineSpanMs };
  const rates = withTimeline ? await load.ask('rates', span) : [];
  const timeline = rates.map((rate, i) => [timelineFromMs + i * timelineSpanMs, rate] as const);
  const mendedAt = monotonicMs();
  await fault.mend(at);
  const levelMs = await untilLevel(group, at.leader, mendedAt);
  const { checked, lost } = await load.ask('verify', null);
  return { gapMs: gap.to - Math.max(gap.from, struck), levelMs, checked, lost, timeline };
}

/** Undefined for systems that do not tell. */
async function untilLevel(group: Group, member: number, since: number): Promise<number | undefined> {
  if (!isCairn(group)) {
    await group.leader();
    return undefined;
  }
  const target = Math.max(...(await group.states()).map((state) => state?.commitIndex ?? 0));
  await until('the member has caught up', levelDeadlineMs, async () => {
    const state = await group.members[member]!.state();
    return state !== undefined && state.appliedIndex >= target && !state.leading ? true : undefined;
  });
  return monotonicMs() - since;
}

function isCairn(group: Group): group is CairnGroup {
  return 'states' in group;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
