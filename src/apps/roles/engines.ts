/** The consensus engines that this program has. */
import {
  type ElectorName,
  type EngineKind,
  type EngineName,
  type LeaseTerms,
  MultiPaxos,
  Raft,
} from '../../core/consensus/index.ts';
import type { Settings } from '../config/settings.ts';

/** Of a data directory that says nothing else. */
export const engineDefault: EngineName = 'raft';

/** Rates of clocks differ by no more: twenty times what time daemons correct them by. */
const leaseDriftMax = 0.01;

// biome-ignore lint/suspicious/noExplicitAny: whoever runs an engine does not look into its messages and records
type AnyKind = EngineKind<any, any>;
const kinds: Readonly<Record<EngineName, AnyKind>> = { raft: Raft, paxos: MultiPaxos };

export interface ChosenEngine {
  readonly kind: AnyKind;
  readonly elector: ElectorName;
  /** Undefined: no reads by lease. */
  readonly lease: LeaseTerms | undefined;
}

export function chooseEngine(name: EngineName, { elector, lease }: Pick<Settings, 'elector' | 'lease'>): ChosenEngine {
  const terms = lease > 0 ? { durationMs: lease, driftMax: leaseDriftMax } : undefined;
  return { kind: kinds[name], elector, lease: terms };
}
