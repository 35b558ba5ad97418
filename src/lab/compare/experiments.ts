/** The experiments, in the order in which `cairn lab all` runs them. */
import { consensus } from './consensus/consensus.ts';
import type { Experiment } from './experiment.ts';

export const experiments: readonly Experiment[] = [consensus];
