import { describe, expect, it } from 'vitest';
import { formatBytes, formatTable, oneLine } from './output.ts';

describe('a table', () => {
  it('has quantities to the right, words to the left, and no spaces at the ends of lines', () => {
    const rows = [
      [1, 'a', formatBytes(512), '-', 'x'],
      [20, 'longer', formatBytes(1_572_864), '7', ''],
    ];
    expect(formatTable(['id', 'name', 'used', 'lag', 'note'], rows).split('\n')).toEqual([
      'id  name       used  lag  note',
      ' 1  a         512 B    -  x',
      '20  longer  1.5 MiB    7',
    ]);
  });
});

describe('one line', () => {
  it('stays one, whatever is in it', () => {
    expect(oneLine('a\n  b\u001b[31mc\u0000')).toBe('a b\\x1b[31mc\\x00');
  });
});
