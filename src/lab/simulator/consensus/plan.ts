/**
 * A run of a group as data: what the group is like, and everything that is done to it, with the time of each. Drawn from a seed, written
 * to a file, made smaller: what is left out of a plan does not happen, all else stays as it was.
 */
import type { ElectorName, EngineName, EngineTiming, LeaseTerms, QuorumSizes } from '../../../core/consensus/engine.ts';
import type { ClientSettings } from './group-client.ts';
import type { Weather } from './group-network.ts';
import type { HostSettings, Moment } from './group-world.ts';

/** Of a node outside the healthy core: no process; no links; hears nobody; a disk that takes for ever; some of its links; all well. */
export const fates = ['down', 'apart', 'deaf', 'stalled', 'noisy', 'well'] as const;

export interface GroupPlan {
  readonly seed: number;
  readonly engine: EngineName;
  readonly elector: ElectorName;
  readonly voters: number;
  /** Nodes that are there from the beginning, and no members yet. */
  readonly spares: number;
  readonly timing: EngineTiming;
  readonly lease: LeaseTerms | undefined;
  readonly quorums: QuorumSizes | undefined;
  /** α of the window of Multi-Paxos; absent: the engine's own. */
  readonly windowSlots?: number | undefined;
  readonly limits: {
    readonly messageMaxBytes: number;
    readonly windowMaxMessages: number;
    readonly uncommittedMaxEntries: number;
  };
  readonly host: HostSettings;
  /** Own milliseconds in a true one, of each node. */
  readonly clockRates: readonly number[];
  readonly weather: Weather;
  readonly writeMs: readonly [number, number];
  readonly clients: number;
  readonly client: ClientSettings;
  readonly stormMs: number;
  /** What becomes of those who are not in the healthy core, when the storm is over. */
  readonly others: (typeof fates)[number];
  readonly happenings: readonly Happening[];
  /** Who is no member any more once a change is done is switched off for good. */
  readonly retires?: boolean;
  /** The same as soon as any node says that the members are settled. */
  readonly leavesWhenTold?: boolean;
  /** Operators ask anybody who takes itself for the leader, and not only the one that is. */
  readonly isLeaderGuessed?: boolean;
}

/** Whoever leads at that time, or one of all nodes: `pick` is 0 … 1. */
export interface Target {
  readonly leader: boolean;
  readonly pick: number;
}

export const partitionShapes = [
  'isolate',
  'split',
  'hub',
  'chain',
  'constrained',
  'deaf',
  'mute',
  'pair',
  'link',
] as const;
export type PartitionShape = (typeof partitionShapes)[number];

export const memberChanges = [
  'addVoter',
  'addNonVoter',
  'promote',
  'demote',
  'remove',
  'removeLeader',
  'replace',
  'shuffle',
] as const;
/** `alone`: the leader, and nobody else. */
export type MemberChange = (typeof memberChanges)[number] | 'alone';

export type Happening = { readonly atMs: number } & (
  | { readonly kind: 'work'; readonly client: number; readonly forMs: number; readonly thinkMs: number }
  /** As many calls begin at once as make so many with those under way. */
  | { readonly kind: 'burst'; readonly client: number; readonly calls: number }
  | { readonly kind: 'weather'; readonly forMs: number; readonly weather: Weather }
  /** `keep`: which part of what was not synced survives. */
  | { readonly kind: 'crash'; readonly target: Target; readonly downMs: number; readonly keep: number }
  /** The next node that comes to this moment for the `skip`th time crashes there; the target alone, if given. */
  | {
      readonly kind: 'trap';
      readonly target: Target | undefined;
      readonly moment: Moment;
      readonly skip: number;
      readonly downMs: number;
      readonly keep: number;
    }
  /** All at once; they come back one after another. */
  | { readonly kind: 'blackout'; readonly downMs: number; readonly apartMs: number; readonly keep: number }
  | {
      readonly kind: 'partition';
      readonly shape: PartitionShape;
      readonly target: Target;
      readonly pick: number;
      readonly forMs: number;
    }
  /** For a while whoever is elected soon is in trouble: one short leadership after another. */
  | {
      readonly kind: 'unrest';
      readonly forMs: number;
      readonly chance: number;
      readonly afterMs: number;
      readonly how: 'crash' | 'isolate' | 'pause';
      readonly downMs: number;
      readonly keep: number;
    }
  | { readonly kind: 'pause'; readonly target: Target; readonly forMs: number }
  /** A pause in the middle of its next step: the clock has been read, and nothing of what follows has been done. */
  | { readonly kind: 'freeze'; readonly target: Target; readonly forMs: number }
  | { readonly kind: 'jump'; readonly target: Target; readonly ms: number }
  | { readonly kind: 'day'; readonly target: Target; readonly ms: number }
  | { readonly kind: 'drift'; readonly target: Target; readonly rate: number }
  /** Each write takes so long. */
  | { readonly kind: 'slowDisk'; readonly target: Target; readonly forMs: number; readonly writeMs: number }
  | { readonly kind: 'diskError'; readonly target: Target; readonly downMs: number }
  /** A record in the middle of the log, `at` 0 … 1 of it, is found damaged when the node starts again. */
  | { readonly kind: 'damage'; readonly target: Target; readonly at: number; readonly how: 'rot' | 'misdirected' }
  | { readonly kind: 'flush'; readonly target: Target; readonly keep: number }
  | { readonly kind: 'transfer'; readonly pick: number }
  | { readonly kind: 'members'; readonly change: MemberChange; readonly pick: number }
  | { readonly kind: 'clone'; readonly target: Target }
);

export type HappeningKind = Happening['kind'];

/** For people. */
export function describeHappening(happening: Happening): string {
  const { atMs, kind, ...rest } = happening;
  const parts = Object.entries(rest).map(([name, value]) => describePart(name, value));
  return `${kind} ${parts.filter((part) => part !== '').join(' ')}`.trimEnd();
}

function describePart(name: string, value: unknown): string {
  if (value === undefined) return '';
  if (name === 'target') return (value as Target).leader ? 'of the leader' : `of pick ${round((value as Target).pick)}`;
  if (name === 'weather')
    return Object.entries(value as Weather)
      .map(([of, is]) => `${of} ${describeNumber(is)}`)
      .join(' ');
  return `${name} ${describeNumber(value)}`;
}

function describeNumber(value: unknown): string {
  if (Array.isArray(value)) return value.map(describeNumber).join('–');
  return typeof value === 'number' ? round(value) : String(value);
}

function round(n: number): string {
  return String(Number(n.toFixed(3)));
}
