/** The experiments, in the order in which `cairn lab all` runs them. */
import { consensus } from './consensus/consensus.ts';

import type { Experiment } from './experiment.ts';
import { failover } from './failover/failover.ts';
import { transport } from './transport/transport.ts';

export const experiments: readonly Experiment[] = [consensus, failover, transport];
