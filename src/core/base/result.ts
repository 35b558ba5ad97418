/** The expected outcomes of a protocol: a value, or a code that the caller must look at. */
import type { ErrorCode } from './errors.ts';

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}
export interface Refused {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly message: string;
}
export type Result<T> = Ok<T> | Refused;

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function refused(code: ErrorCode, message: string): Refused {
  return { ok: false, code, message };
}
