import { conformanceClaims } from '../testing/conformance.test-support.ts';
import { MultiPaxos } from './multi-paxos.ts';

conformanceClaims(MultiPaxos, { levels: ['lease', 'quorum'] });
