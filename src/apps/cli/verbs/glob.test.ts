import { describe, expect, test } from 'vitest';
import { globOf } from './glob.ts';

describe('a pattern of names', () => {
  test.each([
    ['*.log', ['a.log', '.log', 'a.b.log'], ['a.logs', 'log', '']],
    ['log-?', ['log-1', 'log-é', 'log-𝄞'], ['log-', 'log-12']],
    ['[a-c]x[!0-9]', ['axb', 'cx-'], ['dxb', 'ax1', 'ax']],
    ['[]a]', [']', 'a'], ['b', '[']],
    ['[!]]', ['a'], [']', '']],
    ['\\*\\[', ['*['], ['a[', '\\*\\[']],
    ['a*b*c', ['abc', 'aXbYc', 'abcbc'], ['ab', 'acb', 'abcd']],
    ['*', ['', 'anything', '/a/b'], []],
    ['', [''], ['a']],
    ['/logs/*/today', ['/logs/a/today', '/logs/a/b/today'], ['/logs/today']],
  ])('%s', (pattern, those, others) => {
    const holds = globOf(pattern);
    for (const text of those) expect(holds(text), text).toBe(true);
    for (const text of others) expect(holds(text), text).toBe(false);
  });

  test('that makes no sense is refused', () => {
    for (const pattern of ['[a', 'a\\', '[!', `${'*'.repeat(1025)}`]) expect(() => globOf(pattern)).toThrow(/pattern/);
  });

  test('takes no more time than the product of both lengths', () => {
    const holds = globOf(`${'*a'.repeat(200)}b`);
    expect(holds('a'.repeat(255))).toBe(false);
  });
});
