/** From a refusal in a result to the error that a caller gets. */
import { CairnError } from '../../core/base/errors.ts';
import type { Result } from '../../core/base/result.ts';

/** @throws CairnError with the refusal's code */
export function valueOrThrow<T>(result: Result<T>): T {
  if (!result.ok) throw new CairnError(result.code, result.message);
  return result.value;
}

export const stoppedLeading = () => new CairnError('NOT_LEADER', 'this master does not lead any more; ask the leader');
