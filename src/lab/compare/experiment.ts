/** The contract between the lab and its experiments. */
import { CairnError } from '../../core/base/errors.ts';
import type { Findings } from './report/findings.ts';
import type { Scope } from './scope.ts';

export interface LabOptions {
  /** Seconds, not minutes: shows that the experiment works; its figures mean little. */
  readonly quick: boolean;
  /** Rounds; in each round every subject has its turn. Undefined: as many as the experiment thinks right. */
  readonly runs?: number;
  /** Length of one measurement. */
  readonly seconds?: number;
  /** Only these; others are named as skipped. */
  readonly subjects?: readonly string[];
  /** Numbers of clients, where an experiment varies them. */
  readonly clients?: readonly number[];
  /** `gfs-fig3`: share of the paper's link rates. */
  readonly scale?: number;
  /** Added to every flush of Cairn's disks. */
  readonly extraFlushMs?: number;
  /** Processes of Cairn write CPU profiles there. */
  readonly profileDir?: string;
  /** First port to be tried. */
  readonly portBase: number;
  /** Where data lie while an experiment runs; below it everything is removed. */
  readonly scratch: string;
}

/** What an experiment gets. */
export interface Lab {
  readonly options: LabOptions;
  /** Closed at the end: whatever the experiment starts or makes is registered there. */
  readonly scope: Scope;
  /** A new empty directory, removed with `scope`. */
  directory(scope: Scope): Promise<string>;
  /** Ports of 127.0.0.1 that nobody listens on just now. */
  ports(count: number): Promise<number[]>;
  /** Progress, for people. */
  say(line: string): void;
}

export interface Experiment {
  readonly name: string;
  readonly question: string;
  /** It cannot do without network namespaces; checked before it starts. */
  readonly needsNetworks?: boolean;
  /** Free disk that it wants before it starts, in MiB. Default: 2048. */
  readonly diskMiB?: number;
  /** What it will do with these options, and how long that takes on an idle machine of two cores. */
  expected(options: LabOptions): Expected;
  run(lab: Lab, findings: Findings): Promise<void>;
}

export interface Expected {
  readonly rounds: number;
  /** Of one round. */
  readonly secondsEach: number;
  /** Once, besides. */
  readonly secondsOnce: number;
}

/** The subjects of a round that were asked for; each of the others is told as skipped, once. @throws CairnError USAGE if that leaves none */
export function chosen<S extends { readonly name: string }>(all: readonly S[], lab: Lab, findings: Findings): S[] {
  const { subjects } = lab.options;
  if (subjects === undefined) return [...all];
  for (const { name } of all) if (!subjects.includes(name)) findings.skip(name, 'not asked for (--subjects)');
  const asked = all.filter(({ name }) => subjects.includes(name));
  if (asked.length > 0) return asked;
  const there = all.map(({ name }) => name).join(', ');
  throw new CairnError('USAGE', `there is no subject ${subjects.join(', ')} here; there is ${there}`);
}
