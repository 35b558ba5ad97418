/** The engines that stand behind the contract, by name, with what each offers: what the lab can put side by side. */
import { type ElectorName, type EngineKind, type EngineName, MultiPaxos, Raft } from '../../../core/consensus/index.ts';

export interface Offer {
  // biome-ignore lint/suspicious/noExplicitAny: whoever runs an engine does not look into its messages and records
  readonly kind: EngineKind<any, any>;
  readonly electors: readonly ElectorName[];
  readonly hasLease: boolean;
}

const offers: Partial<Record<EngineName, Offer>> = {
  raft: { kind: Raft, electors: ['timeout', 'ballot'], hasLease: true },
  paxos: { kind: MultiPaxos, electors: ['timeout', 'ballot'], hasLease: true },
};

export const engineNames = Object.keys(offers) as readonly EngineName[];

export function offerOf(name: EngineName): Offer {
  const offer = offers[name];
  if (offer === undefined) throw new Error(`this version has no engine ${name}; it has ${engineNames.join(', ')}`);
  return offer;
}
