/** What can be simulated: one run a seed, told in the same words whatever runs in it. */

export interface SeedReport {
  readonly seed: number;
  readonly passed: boolean;
  /** The rule that was broken and how; undefined if it passed. */
  readonly rule: string | undefined;
  readonly why: string | undefined;
  /** Of all events in their order: the same for the same seed. */
  readonly hash: string;
  readonly simulatedMs: number;
  readonly events: number;
  readonly counts: Readonly<Record<string, number>>;
}

export interface RunSeedOptions {
  /** Told of everything that happens, as lines for people. It slows a run down, and changes nothing in it. */
  readonly onLine?: ((line: string) => void) | undefined;
}

export interface ScenarioKind {
  readonly name: string;
  runSeed(seed: number, options?: RunSeedOptions): Promise<SeedReport>;
}
