import { CairnError } from '../../core/base/errors.ts';

/** Nothing happened here: whoever leads can be asked at once. */
export function notLeader(): CairnError {
  return new CairnError('NOT_LEADER', 'this master does not lead; ask the leader');
}

/** Nor here, nor will anything: this replica has stopped, for the reason given. The others go on. */
export function stoppedHere(cause: CairnError): CairnError {
  return new CairnError('NOT_LEADER', `this master has stopped (${cause.message}); ask another`, { cause });
}
