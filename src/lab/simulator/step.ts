/** What a client does at a time, and what is known to whoever draws it. */
import type { SimRandom } from '../../platform/sim/random.ts';
import type { CairnClient } from '../../system/client/client.ts';
import type { Ledger } from './ledger.ts';
import type { OwnTree } from './own-tree.ts';

/** One call, or a few that belong together. */
export interface Step {
  readonly what: string;
  /** Calls, checks, and notes in the model what was done. @throws CairnError, Violation */
  run(client: CairnClient): Promise<void>;
  /** Notes in the model that it may have been done or not. */
  unknown(): void;
}

/** The client for whom a step is drawn. */
export interface StepMaker {
  readonly id: number;
  readonly random: SimRandom;
  readonly ledger: Ledger;
  readonly tree: OwnTree;
  readonly chunkBytes: number;
  readonly largeRecordShare: number;
  nextRecord(): number;
}
