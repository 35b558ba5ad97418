import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { boundEventFile, earlierEvents } from './event-file.ts';

let dir: string;
let file: string;
let writer: number;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cairn-events-'));
  file = join(dir, 'events.log');
  writer = openSync(file, 'a'); // as the process whose events they are has it
});
afterEach(() => {
  closeSync(writer);
  rmSync(dir, { recursive: true, force: true });
});

describe('a file of events', () => {
  it('that is short enough, or not there, is left alone', () => {
    writeSync(writer, 'first\n');
    boundEventFile(file, 6);
    boundEventFile(join(dir, 'none'), 6);
    expect(readFileSync(file, 'utf8')).toBe('first\n');
    expect(statSync(earlierEvents(file), { throwIfNoEntry: false })).toBeUndefined();
  });

  it('that is too long goes on from its beginning, and what was in it is kept once', () => {
    writeSync(writer, 'first\nsecond\n');
    boundEventFile(file, 13);
    boundEventFile(file, 12);
    writeSync(writer, 'third\n');
    expect(readFileSync(earlierEvents(file), 'utf8')).toBe('second\n'); // of what is longer than a file may be, whole lines
    expect(readFileSync(file, 'utf8')).toBe('third\n');
    writeSync(writer, 'fourth\n');
    boundEventFile(file, 12);
    expect([readFileSync(earlierEvents(file), 'utf8'), statSync(file).size]).toEqual(['fourth\n', 0]);
    writeSync(writer, `${'line\n'.repeat(500_000)}`);
    boundEventFile(file, 2_000_000);
    expect(readFileSync(earlierEvents(file), 'utf8')).toBe('line\n'.repeat(400_000));
  });

  it('is bounded also where nothing can be kept', () => {
    mkdirSync(join(earlierEvents(file), 'in the way'), { recursive: true });
    writeSync(writer, 'first\n');
    expect(() => boundEventFile(file, 5)).toThrow(/EISDIR/);
    expect(statSync(file).size).toBe(0);
  });
});
