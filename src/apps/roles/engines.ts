/** The consensus engines that this program has, and what each of them offers. */
import { CairnError } from '../../core/base/errors.ts';
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

interface Offer {
  // biome-ignore lint/suspicious/noExplicitAny: whoever runs an engine does not look into its messages and records
  readonly kind: EngineKind<any, any>;
  readonly electors: readonly ElectorName[];
  readonly hasLease: boolean;
}

const offers: Readonly<Record<EngineName, Offer | undefined>> = {
  raft: { kind: Raft, electors: ['timeout', 'ballot'], hasLease: false },
  paxos: { kind: MultiPaxos, electors: ['timeout', 'ballot'], hasLease: false },
};

export interface ChosenEngine {
  readonly kind: Offer['kind'];
  readonly elector: ElectorName;
  readonly lease: LeaseTerms | undefined;
}

/** @throws CairnError NOT_SUPPORTED when this version does not have what is asked for */
export function chooseEngine(name: EngineName, { elector, lease }: Pick<Settings, 'elector' | 'lease'>): ChosenEngine {
  const offer = offers[name];
  if (offer === undefined) throw notOffered(`the engine ${name}`, 'engine', namesOffered());
  if (!offer.electors.includes(elector))
    throw notOffered(`the elector ${elector} for ${name}`, 'elector', offer.electors);
  if (lease > 0 && !offer.hasLease) throw notOffered(`reads by lease for ${name}`, 'lease', ['0s']);
  return { kind: offer.kind, elector, lease: lease > 0 ? { durationMs: lease, driftMax: leaseDriftMax } : undefined };
}

function namesOffered(): string[] {
  return Object.entries(offers).flatMap(([name, offer]) => (offer === undefined ? [] : [name]));
}

function notOffered(what: string, key: string, choices: readonly string[]): CairnError {
  return new CairnError('NOT_SUPPORTED', `this version does not have ${what}; set ${key} to ${choices.join(' or ')}`);
}
