/**
 * Ctrl-C in a verb, or a reader that goes away: what is half done is taken back, then the program ends; after a signal as shells expect, with
 * 128 + the signal.
 */
import { constants } from 'node:os';
import { CairnError } from '../../../core/base/errors.ts';

type TakeBack = () => Promise<void> | void;

/** Taking back may need the cluster, and it may not answer. A second signal ends at once. */
const takeBackMaxMs = 3000;
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** With how long each may take, in ms. */
const pending = new Map<TakeBack, number>();
let installed = false;
let interrupted = false;

/** While `work` runs, a signal makes `takeBack` run before the program ends. After one no work is begun. @throws CairnError ABORTED */
export async function takingBack<T>(
  takeBack: TakeBack,
  work: () => Promise<T>,
  maxMs: number = takeBackMaxMs,
): Promise<T> {
  if (interrupted) throw new CairnError('ABORTED', 'interrupted');
  const forget = onInterrupt(takeBack, maxMs);
  try {
    return await work();
  } finally {
    forget();
  }
}

/** @returns what is to be called when there is nothing to take back any more */
export function onInterrupt(takeBack: TakeBack, maxMs: number = takeBackMaxMs): () => void {
  pending.set(takeBack, maxMs);
  return () => pending.delete(takeBack);
}

/** The program is about to end: nothing new is begun. */
export function isInterrupted(): boolean {
  return interrupted;
}

export function exitOnSignals(): void {
  if (installed) return;
  installed = true;
  for (const signal of signals) process.on(signal, () => endTidily(128 + constants.signals[signal]));
}

/** The second time at once. */
export function endTidily(code: number): void {
  if (interrupted) process.exit(code);
  interrupted = true;
  const failures = (results: PromiseSettledResult<void>[]) => results.filter(({ status }) => status === 'rejected');
  const all = Promise.allSettled([...pending.keys()].map(async (takeBack) => takeBack()));
  setTimeout(() => process.exit(code), Math.max(0, ...pending.values()));
  void all.then((results) => {
    for (const failed of failures(results))
      process.stderr.write(`cairn: could not tidy up: ${String((failed as PromiseRejectedResult).reason)}\n`);
    process.exit(code);
  });
}
