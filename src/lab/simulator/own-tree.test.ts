import { describe, expect, it } from 'vitest';
import { toUtf8 } from '../../core/base/bytes.ts';
import type { CairnClient } from '../../system/client/client.ts';
import type { Actor } from './actor.ts';
import { checkTree } from './checks.ts';
import { OwnTree } from './own-tree.ts';

describe('a file that was to be changed, nobody knows whether it was', () => {
  /** What is wrong when the file, in a directory that has been renamed since, reads as this. */
  async function wrong(text: string, after = toUtf8('abXYefgh'), before = toUtf8('abcdef')): Promise<string> {
    const tree = new OwnTree('/c1');
    tree.put('/c1/d', { kind: 'directory' });
    tree.put('/c1/d/f', { kind: 'file', bytes: before, durability: 'disk' });
    tree.doubtChange('/c1/d/f', after);
    tree.rename('/c1/d', '/c1/e');
    const files = new Map([['/c1/e/f', toUtf8(text)]]);
    const readdir = async (path: string) => (path === '/c1' ? ['e'] : ['f']);
    const client = { readdir, readFile: async (path: string) => files.get(path)! };
    const checked = checkTree(client as unknown as CairnClient, { tree } as Actor);
    return checked.then(
      () => '',
      (thrown: Error) => thrown.message,
    );
  }

  it.each(['abcdef', 'abXYefgh', 'abXdef', 'abcdef\0\0', 'abcdefgh'])('may be %j', async (text) => {
    expect(await wrong(text)).toBe('');
  });

  it.each([
    ['Abcdef', 'byte 0'],
    ['abcdeF', 'byte 5'],
    ['abXYefg!', 'byte 7'],
    ['abcde', 'has 5 bytes'],
    ['abXYefghi', 'has 9 bytes'],
  ])('is not %j', async (text, what) => {
    expect(await wrong(text)).toContain(what);
  });

  it('may end before a hole that it was to be cut in, and not before what comes before the hole', async () => {
    const [before, after] = ['ab\0\0\0\0cd', 'ab\0\0'].map(toUtf8);
    for (const text of ['ab', 'ab\0', 'ab\0\0', 'ab\0\0\0\0', 'ab\0\0\0\0cd'])
      expect(await wrong(text, after, before)).toBe('');
    expect(await wrong('a', after, before)).toContain('has 1 bytes');
  });
});
