/** Errors as callers get them: with the path they are about. */
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { refusedCodes } from '../../core/protocol/chunk-calls.ts';
import { parsePath, show } from '../../core/protocol/paths.ts';

export function about(path: string, thrown: unknown): CairnError {
  const error = toCairnError(thrown);
  const shown = show(String(path));
  if (error.message.startsWith(shown)) return error;
  return new CairnError(error.code, `${shown}: ${error.message}`, { cause: error, hint: error.hint });
}

/** The names along a path. @throws CairnError what is wrong with it */
export function namesOf(path: string): readonly string[] {
  if (typeof path !== 'string') throw invalid(`${String(path)} is no path; a path is text`);
  const names = parsePath(path);
  if (!names.ok) throw new CairnError(names.code, names.message);
  return names.value;
}

/** Of a mutation: it may have been carried out, or may yet be, under the version that it was sent under. */
export function isDoubtful(error: CairnError): boolean {
  return !refusedCodes.has(error.code);
}

export function isADirectory(path: string): CairnError {
  return new CairnError('IS_A_DIRECTORY', `${show(path)}: is a directory; name a file`);
}

/** A copy of it would have zeros, or nothing, in place of what is gone. */
export function wasCut(path: string, size: number, bytes: number): CairnError {
  const what = `was cut from ${size} bytes to ${bytes} while it was copied; copy it again when nobody changes it`;
  return new CairnError('BUSY', `${show(path)}: ${what}`);
}

export function isClosed(what: string): CairnError {
  return new CairnError('ABORTED', `${what} is closed; open it again`);
}

export function invalid(message: string): CairnError {
  return new CairnError('INVALID_ARGUMENT', message);
}

/** @throws CairnError INVALID_ARGUMENT */
export function checkWindow(name: string, bytes: number): void {
  if (!(bytes > 0 && bytes < Number.POSITIVE_INFINITY))
    throw invalid(`${name} ${bytes} is no number of bytes that can be under way; give a positive number`);
}
