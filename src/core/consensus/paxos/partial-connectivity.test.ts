import { partialConnectivityClaims } from '../testing/partial-connectivity.test-support.ts';
import { MultiPaxos } from './multi-paxos.ts';

partialConnectivityClaims(MultiPaxos, 'timeout');
partialConnectivityClaims(MultiPaxos, 'ballot');
