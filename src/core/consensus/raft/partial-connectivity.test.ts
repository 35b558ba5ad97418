import { partialConnectivityClaims } from '../testing/partial-connectivity.test-support.ts';
import { Raft } from './raft.ts';

partialConnectivityClaims(Raft, 'timeout');
partialConnectivityClaims(Raft, 'ballot');
