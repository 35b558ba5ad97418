/** Bugs that consensus implementations have had, each as a small change of our sources that the simulator must notice. */

export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file: else the mutant no longer fits the sources, and says so. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly id: string;
  /** The bug, in a few words. */
  readonly bug: string;
  /** Where it was seen in the field, or `canonical` for what textbooks warn of. */
  readonly seen: string;
  readonly edits: readonly Edit[];
  readonly trial: Trial;
}

/** How it is to be noticed. */
export type Trial =
  /** Groups of one engine, seed after seed. */
  | { readonly kind: 'groups'; readonly engine: 'raft' | 'paxos'; readonly options?: readonly string[] }
  /** Whole clusters, seed after seed. */
  | { readonly kind: 'clusters'; readonly engine: 'raft' | 'paxos' }
  /** Tests beside the code, which run it on simulated disks. */
  | { readonly kind: 'tests'; readonly files: readonly string[] };

/** A bug of the catalogue that cannot be put into this design, or means nothing in it. */
export interface NotApplicable {
  readonly bug: string;
  readonly seen: string;
  readonly why: string;
}

export const raftGroups: Trial = { kind: 'groups', engine: 'raft' };
