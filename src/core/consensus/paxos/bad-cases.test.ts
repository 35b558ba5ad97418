import { badCaseClaims } from '../testing/bad-cases.test-support.ts';
import { MultiPaxos } from './multi-paxos.ts';

badCaseClaims(MultiPaxos);
