/** A group of benchmarks that starts a cluster of its own. */
import type { Benchmark } from './report.ts';

export interface SuiteOptions {
  /** `bin/cairn`. */
  readonly program: string;
  /** Small amounts, to see that it works. */
  readonly quick: boolean;
  /** Of files in `namespace` and `tree`, where it is not the usual one. */
  readonly count?: number | undefined;
  /** Progress, for people. */
  readonly say: (line: string) => void;
}

export type Suite = (options: SuiteOptions) => Promise<Benchmark[]>;
