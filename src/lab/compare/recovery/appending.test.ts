import { describe, expect, it } from 'vitest';
import { sightOf } from './appending.ts';

describe('a reader', () => {
  const expected = Buffer.from('\nrecord 7\n');

  it.each([
    ['the record', expected, 'there'],
    ['nothing', Buffer.alloc(0), 'not there'],
    ['a part of it', expected.subarray(0, 4), 'not there'],
    ['zeros where it will be', Buffer.alloc(expected.length), 'not there'],
    ['another record in its place', Buffer.from('\nrecord 8\n'), 'replaced'],
  ] as const)('that finds %s', (_, found, sight) => {
    expect(sightOf(expected, found)).toBe(sight);
  });
});
