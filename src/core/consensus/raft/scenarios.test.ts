import { scenarioClaims } from '../testing/scenarios.test-support.ts';
import { Raft } from './raft.ts';

scenarioClaims(Raft);
