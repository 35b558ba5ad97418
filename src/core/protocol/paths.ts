/** Paths as clients write them: absolute, `/`-separated, UTF-8. Clients check them before they ask, masters because they must. */
import { utf8Length } from '../base/bytes.ts';
import { ok, type Refused, type Result, refused } from '../base/result.ts';
import { nameMaxBytes, pathMaxBytes } from './types.ts';

/** Longest part of a path that an error message repeats. */
const shownMax = 200;

/**
 * The names along a path, none for the root. Repeated and trailing slashes mean nothing, as in POSIX; `.` and `..` are refused, since
 * what they mean should be settled where the path was typed.
 */
export function parsePath(path: string): Result<readonly string[]> {
  if (path.charCodeAt(0) !== 0x2f)
    return refused('INVALID_ARGUMENT', `${show(path)}: a path begins with /; write it from the root`);
  if (path.length * 3 > pathMaxBytes && utf8Length(path) > pathMaxBytes)
    return refused('NAME_TOO_LONG', `${show(path)}: a path has at most ${pathMaxBytes} bytes; use shorter names`);
  const names: string[] = [];
  let start = 1;
  for (let i = 1; i <= path.length; i++) {
    const unit = i === path.length ? 0x2f : path.charCodeAt(i);
    if (unit === 0) return refused('INVALID_NAME', `${show(path)}: a name holds no NUL; remove it`);
    if (unit !== 0x2f) continue;
    if (i > start) {
      const name = path.slice(start, i);
      const wrong = checkName(name, path);
      if (wrong !== undefined) return wrong;
      names.push(name);
    }
    start = i + 1;
  }
  return ok(names);
}

function checkName(name: string, path: string): Refused | undefined {
  if (name === '.' || name === '..')
    return refused('INVALID_NAME', `${show(path)}: ${name} is not a name here; write the path without it`);
  if (name.length * 3 > nameMaxBytes && utf8Length(name) > nameMaxBytes)
    return refused('NAME_TOO_LONG', `${show(path)}: a name has at most ${nameMaxBytes} bytes; use a shorter one`);
  if (hasLoneSurrogate(name))
    return refused('INVALID_NAME', `${show(path)}: a name is valid Unicode; replace its broken characters`);
  return undefined;
}

/** Half a character of UTF-16: it has no form in UTF-8, and two such names would become one. */
function hasLoneSurrogate(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdfff) continue;
    const next = name.charCodeAt(i + 1);
    if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return true;
    i++;
  }
  return false;
}

/** Names joined to a path. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? `${directory}${name}` : `${directory}/${name}`;
}

/** A path for a message: control characters escaped, a long one cut. */
export function show(path: string): string {
  if (path === '') return "''";
  const cut = path.length > shownMax ? `${path.slice(0, shownMax)}…` : path;
  return cut.replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
