import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountsBelow, ownName, removeLeftovers } from './leftovers.ts';
import { isRoot } from './quick.test-support.ts';

let scratch: string;
let gone: number;
beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'lab-scratch-'));
  const child = spawn('true');
  gone = child.pid!;
  await new Promise((resolve) => child.once('exit', resolve));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe('what labs leave behind', () => {
  it('goes when they are no more; what belongs to a lab that runs, and to others, stays', () => {
    for (const name of [`cairn-lab-${gone}-a`, ownName('b'), 'else']) mkdirSync(join(scratch, name));
    expect(removeLeftovers(scratch)).toContain(`cairn-lab-${gone}-a`);
    expect(readdirSync(scratch).toSorted()).toEqual([ownName('b'), 'else'].toSorted());
  });

  it.skipIf(!isRoot)('is unmounted first, so that nothing is removed from what was mounted there', () => {
    const elsewhere = join(scratch, 'elsewhere');
    const mounted = join(scratch, `cairn-lab-${gone}-a`, 'with space');
    for (const dir of [elsewhere, mounted]) mkdirSync(dir, { recursive: true });
    writeFileSync(join(elsewhere, 'file'), 'kept');
    execFileSync('mount', ['--bind', elsewhere, mounted]);
    expect(mountsBelow(join(scratch, `cairn-lab-${gone}-a`))).toEqual([mounted]);
    removeLeftovers(scratch);
    expect(readdirSync(scratch)).toEqual(['elsewhere']);
    expect(readdirSync(elsewhere)).toEqual(['file']);
  });
});
