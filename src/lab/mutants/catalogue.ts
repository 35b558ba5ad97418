/** All mutants. */
import { clientsAndStorage } from './clients-and-storage.ts';
import { dataPlane } from './data-plane.ts';
import type { Mutant } from './mutant.ts';
import { paxos } from './paxos.ts';
import { raftCore } from './raft-core.ts';
import { raftElections } from './raft-elections.ts';
import { raftMembership } from './raft-membership.ts';

export const mutants: readonly Mutant[] = [
  ...raftCore,
  ...raftElections,
  ...raftMembership,
  ...paxos,
  ...clientsAndStorage,
  ...dataPlane,
];
