import { CairnError } from '../../core/base/errors.ts';

/** Nothing happened here: whoever leads can be asked at once. */
export function notLeader(): CairnError {
  return new CairnError('NOT_LEADER', 'this master does not lead; ask the leader');
}
