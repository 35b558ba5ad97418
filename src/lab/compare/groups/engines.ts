/** The engines that stand behind the contract, by name: what the lab can put side by side. */
import { type EngineKind, type EngineName, Raft } from '../../../core/consensus/index.ts';

/** What a host needs of an engine, its own types aside. */
export type AnyEngineKind = EngineKind<unknown, unknown>;

const engines: Partial<Record<EngineName, AnyEngineKind>> = {
  raft: Raft as AnyEngineKind,
};

export const engineNames = Object.keys(engines) as readonly EngineName[];

export function engineOf(name: EngineName): AnyEngineKind {
  const kind = engines[name];
  if (kind === undefined) throw new Error(`this version has no engine ${name}; it has ${engineNames.join(', ')}`);
  return kind;
}
