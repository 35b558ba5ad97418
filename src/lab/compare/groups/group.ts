/** A consensus group as an experiment sees it, whoever made it: its processes, who leads, what it has cost so far. */
import type { TargetSpec } from '../load/target.ts';
import type { OwnedProcess } from '../process/owned-process.ts';
import type { Scope } from '../scope.ts';

export interface Group {
  readonly name: string;
  readonly members: readonly GroupMember[];
  /** The place in `members` of whoever leads, as soon as somebody is able to commit. */
  leader(): Promise<number>;
  /** For load: `first` is asked first. */
  target(first: number, options: TargetOptions): TargetSpec;
  costs(): Promise<Costs>;
}

export interface TargetOptions {
  readonly clients: number;
  /** An operation that is not answered in this time is tried again, elsewhere. */
  readonly attemptMs: number;
}

export interface GroupMember {
  readonly id: number;
  readonly address: string;
  readonly process: OwnedProcess;
  /** Its directory stays; resolves when it runs again. */
  restart(): Promise<void>;
}

/** Sums over all members since they started. Undefined where a system does not tell. */
export interface Costs {
  readonly cpuMs: number;
  readonly flushes: number | undefined;
  readonly messages: number | undefined;
  readonly messageBytes: number | undefined;
  /** Log entries committed. */
  readonly entries: number | undefined;
}

/** Where a member of a group lives. */
export interface Place {
  readonly host: string;
  readonly namespace?: string;
}

export interface GroupOptions {
  readonly scope: Scope;
  /** Below it each member has a directory. */
  readonly directory: string;
  readonly places: readonly Place[];
  /** `portsEach` for each member. */
  readonly ports: readonly number[];
  readonly electionTimeoutMs: { readonly min: number; readonly max: number };
  readonly heartbeatMs: number;
}

/** Clients, peers, and what a peer needs for its elections alone. */
export const portsEach = 3;

export const three: readonly Place[] = [{ host: '127.0.0.1' }, { host: '127.0.0.1' }, { host: '127.0.0.1' }];

/** Asks again until `probe` has an answer. @throws with `what` after `withinMs` */
export async function until<T>(what: string, withinMs: number, probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`within ${withinMs} ms it did not come to pass: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
