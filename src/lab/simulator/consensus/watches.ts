/** How each engine is watched from outside. */
import type { EngineName, Members } from '../../../core/consensus/engine.ts';
import type { CommittedLog } from './committed-log.ts';
import type { ProtocolWatch } from './protocol-watch.ts';
import { RaftWatch } from './raft-watch.ts';

type MakeWatch = (bootstrap: Members, log: CommittedLog) => ProtocolWatch<unknown, unknown>;

const watches: Partial<Readonly<Record<EngineName, MakeWatch>>> = {
  raft: (bootstrap, log) => new RaftWatch(bootstrap, log) as ProtocolWatch<unknown, unknown>,
};

/** @throws Error when there is none for this engine */
export function watchOf(engine: EngineName, bootstrap: Members, log: CommittedLog): ProtocolWatch<unknown, unknown> {
  const make = watches[engine];
  if (make === undefined) throw new Error(`the engine ${engine} cannot be watched`);
  return make(bootstrap, log);
}
