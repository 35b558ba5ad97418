/** The experiments, in the order in which `cairn lab all` runs them. */
import { consensus } from './consensus/consensus.ts';

import type { Experiment } from './experiment.ts';
import { failover } from './failover/failover.ts';

export const experiments: readonly Experiment[] = [consensus, failover];
