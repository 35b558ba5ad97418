import { badCaseClaims } from '../testing/bad-cases.test-support.ts';
import { Raft } from './raft.ts';

badCaseClaims(Raft);
