/** One run of a group: the storm, what must come back when it is over, and whether what clients saw has an order. */
import { checkLinearizable, type Verdict } from '../linearizability/checker.ts';
import {
  type RegisterInput,
  type RegisterOperation,
  registerModel,
  withoutUnseen,
} from '../linearizability/register-model.ts';
import { BrokenRule, type Rule } from './broken-rule.ts';
import { Group } from './group.ts';
import { Mischief } from './mischief.ts';
import type { GroupPlan } from './plan.ts';
import { settle } from './settle.ts';

export interface GroupOutcome {
  readonly seed: number;
  readonly passed: boolean;
  /** Set exactly when it has not passed. */
  readonly broken:
    | { readonly rule: Rule; readonly why: string; readonly atMs: number; readonly stack: string }
    | undefined;
  readonly hash: string;
  readonly simulatedMs: number;
  readonly events: number;
  readonly counts: {
    readonly committed: number;
    readonly calls: number;
    readonly unknown: number;
    readonly messages: number;
  };
}

export type Note = (atMs: number, who: string, text: string) => void;

export function runGroup(plan: GroupPlan, note?: Note): GroupOutcome {
  const group = new Group(plan, note);
  let broken: GroupOutcome['broken'];
  try {
    storm(group);
    settle(group);
    for (const client of group.clients) client.abandon();
    mustBeLinearizable(group.history());
  } catch (thrown) {
    if (!(thrown instanceof BrokenRule)) throw thrown;
    const cause = thrown.cause instanceof Error ? thrown.cause : thrown;
    broken = { rule: thrown.rule, why: thrown.message, atMs: group.agenda.nowMs, stack: cause.stack ?? '' };
  }
  const history = group.history();
  return {
    seed: plan.seed,
    passed: broken === undefined,
    broken,
    hash: group.agenda.hash.value,
    simulatedMs: group.agenda.nowMs,
    events: group.agenda.events,
    counts: {
      committed: group.checker.log.highest,
      calls: history.length,
      unknown: history.filter(({ returned }) => returned === undefined).length,
      messages: group.network.messages,
    },
  };
}

function storm(group: Group): void {
  const mischief = new Mischief(group);
  for (const id of group.nodes()) group.node(id).start();
  group.agenda.runUntil(group.plan.stormMs);
  mischief.end();
}

function mustBeLinearizable(history: readonly RegisterOperation[]): void {
  const verdict = checkLinearizable(registerModel, withoutUnseen(history));
  if (verdict.kind !== 'linearizable') throw new BrokenRule('linearizable', explain(verdict));
}

const placedShown = 6;

function explain(
  verdict: Exclude<Verdict<RegisterInput, { seen: number | undefined }>, { kind: 'linearizable' }>,
): string {
  if (verdict.kind === 'gaveUp') return `key ${verdict.part}: gave up after ${verdict.work} steps`;
  const { part, placed, stuck } = verdict;
  const before = placed.slice(-placedShown).map(describe);
  return `key ${part}: after … ${before.join(', ')} there comes none of ${stuck.map(describe).join(', ')}`;
}

function describe({ client, input, returned }: RegisterOperation): string {
  const written = input.kind === 'read' ? '' : ` ${input.value}`;
  const expected = input.kind === 'cas' ? ` over ${input.expected}` : '';
  const seen = returned === undefined ? ' ?' : returned.output.seen === undefined ? '' : ` saw ${returned.output.seen}`;
  return `c${client} ${input.kind}${written}${expected}${seen}`;
}
