import { scenarioClaims } from '../testing/scenarios.test-support.ts';
import { MultiPaxos } from './multi-paxos.ts';

scenarioClaims(MultiPaxos);
