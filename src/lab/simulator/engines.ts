/** The engines by their names. Their messages and records are their own affair: here they are opaque. */
import { type EngineKind, type EngineName, MultiPaxos, Raft } from '../../core/consensus/index.ts';

const engines: Readonly<Record<EngineName, EngineKind<unknown, unknown>>> = {
  raft: Raft as EngineKind<unknown, unknown>,
  paxos: MultiPaxos as EngineKind<unknown, unknown>,
};

export const engineNames = Object.keys(engines) as readonly EngineName[];

/** @throws Error when there is no such engine */
export function engineNamed(name: string): EngineKind<unknown, unknown> {
  const found = engines[name as EngineName];
  if (found === undefined)
    throw new Error(`there is no engine ${name} to simulate; there is ${engineNames.join(', ')}`);
  return found;
}
