/** The contract between the program and its verbs. */

/** What a verb gets: its arguments in order, its own and the global options. */
export interface Invocation {
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly cluster: string | undefined;
  /** Within this a call to the cluster makes progress or fails; undefined: the client's default. */
  readonly deadlineMs: number | undefined;
  readonly json: boolean;
}

export type Verb = (invocation: Invocation) => Promise<void>;
