import { failoverClaims } from '../testing/failover.test-support.ts';
import { Raft } from './raft.ts';

failoverClaims(Raft);
