import { describe, expect, test } from 'vitest';
import { joinPath, parsePath, show } from './paths.ts';

function namesOf(path: string): readonly string[] {
  const parsed = parsePath(path);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}
function codeOf(path: string): string {
  const parsed = parsePath(path);
  return parsed.ok ? 'ok' : parsed.code;
}

describe('paths', () => {
  test('repeated and trailing slashes mean nothing; the root has no names', () => {
    expect(namesOf('/')).toEqual([]);
    expect(namesOf('//a///b/')).toEqual(['a', 'b']);
  });

  test('a path that does not begin at the root is refused', () => {
    expect([codeOf(''), codeOf('a/b'), codeOf('./a')]).toEqual(Array(3).fill('INVALID_ARGUMENT'));
  });

  test('dots, NUL and broken characters are not names', () => {
    expect(['/a/../b', '/.', '/a\0b', '/\ud800', '/\udc00x', '/\ud800\ud800\udc00'].map(codeOf)).toEqual(
      Array(6).fill('INVALID_NAME'),
    );
    expect(namesOf('/…/😀/...')).toEqual(['…', '😀', '...']);
  });

  test('names count in bytes of UTF-8: 255 fit, 256 do not', () => {
    expect(codeOf(`/${'a'.repeat(255)}`)).toBe('ok');
    expect(codeOf(`/${'a'.repeat(256)}`)).toBe('NAME_TOO_LONG');
    expect(codeOf(`/${'é'.repeat(127)}`)).toBe('ok');
    expect(codeOf(`/${'é'.repeat(128)}`)).toBe('NAME_TOO_LONG');
  });

  test('a path has at most 4096 bytes', () => {
    expect(codeOf('/a'.repeat(2048))).toBe('ok');
    expect(codeOf(`${'/a'.repeat(2048)}/`)).toBe('NAME_TOO_LONG');
  });

  test('messages show control characters escaped, long paths cut and empty ones at all', () => {
    expect(show('/a\nb\0')).toBe('/a\\x0ab\\x00');
    expect(show(`/${'x'.repeat(500)}`).length).toBe(201);
    expect(show('')).toBe("''"); // else the message would begin with nothing
  });

  test('a directory and a name join with one slash', () => {
    expect([joinPath('/', 'a'), joinPath('/a', 'b'), joinPath('/a/', 'b')]).toEqual(['/a', '/a/b', '/a/b']);
  });
});
