/**
 * Who gives a path means the file that is there. Where the one that was found is gone before the work is done (removed, and perhaps another made
 * in its place) the path is looked up again, and all is done anew: whatever had come into the former file is gone with it.
 */
import { toCairnError } from '../../core/base/errors.ts';
import { lookUpsMax } from './limits.ts';

/** @param work looks the path up by itself. */
export async function atPath<T>(work: () => Promise<T>): Promise<T> {
  for (let lookUps = 1; ; lookUps++) {
    try {
      return await work();
    } catch (thrown) {
      if (!isGone(thrown) || lookUps === lookUpsMax) throw thrown;
    }
  }
}

/** The same for what comes piece by piece: once there was a piece, the rest must be of the same file. */
export async function* streamAtPath<T>(pieces: () => AsyncIterable<T>): AsyncGenerator<T, void, void> {
  for (let lookUps = 1; ; lookUps++) {
    let hasBegun = false;
    try {
      for await (const piece of pieces()) {
        hasBegun = true;
        yield piece;
      }
      return;
    } catch (thrown) {
      if (hasBegun || !isGone(thrown) || lookUps === lookUpsMax) throw thrown;
    }
  }
}

function isGone(thrown: unknown): boolean {
  return toCairnError(thrown).code === 'STALE_HANDLE';
}
