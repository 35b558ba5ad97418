import { failoverClaims } from '../testing/failover.test-support.ts';
import { MultiPaxos } from './multi-paxos.ts';

failoverClaims(MultiPaxos);
