import { conformanceClaims } from '../testing/conformance.test-support.ts';
import { Raft } from './raft.ts';

conformanceClaims(Raft, { levels: ['lease'] });
