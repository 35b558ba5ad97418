/** Giving up from outside: what we use of an AbortSignal, wherever it comes from. */
import { CairnError } from '../../core/base/errors.ts';
import type { GivenUp } from '../rpc/leader-channel.ts';

export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export function abortedBy(signal: AbortSignalLike): CairnError {
  return new CairnError('ABORTED', 'aborted by its caller; what was under way may or may not have taken effect', {
    cause: signal.reason,
  });
}

/** @throws CairnError ABORTED */
export function throwIfAborted(signal: AbortSignalLike | undefined): void {
  if (signal?.aborted === true) throw abortedBy(signal);
}

/** For what is tried again and again: the signal ends that. */
export function givenUpBy(signal: AbortSignalLike | undefined): GivenUp {
  return () => (signal?.aborted === true ? abortedBy(signal) : undefined);
}

/** The outcome of `work`, or ABORTED as soon as the signal says so; the work itself then ends on its own, unheard. */
export function abortable<T>(signal: AbortSignalLike | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = () => {
      signal.removeEventListener('abort', abort);
      reject(abortedBy(signal));
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
