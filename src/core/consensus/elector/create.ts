/** The electors by their names. */
import { unreachable } from '../../base/assert.ts';
import type { ElectorName, EngineConfig } from '../engine.ts';
import { BallotElector } from './ballot.ts';
import type { Elector } from './elector.ts';
import { TimeoutElector } from './timeout.ts';

export function createElector(name: ElectorName, config: EngineConfig): Elector {
  switch (name) {
    case 'timeout':
      return new TimeoutElector(config);
    case 'ballot':
      return new BallotElector(config);
    default:
      return unreachable(name);
  }
}
