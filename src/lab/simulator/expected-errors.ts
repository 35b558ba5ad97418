/** Errors with which a call may end while there are faults; any other is a promise broken. */
import type { CairnError, ErrorCode } from '../../core/base/errors.ts';

const expected: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'NO_QUORUM',
  'UNAVAILABLE',
  'TIMED_OUT',
  'UNKNOWN_OUTCOME',
  'SESSION_EXPIRED',
  'BUSY',
  'CONNECTION_LOST',
  'NO_SERVERS',
]);

export function mayEnd({ code }: CairnError): boolean {
  return expected.has(code);
}
