import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { brokenReferences, decisionMistakes, unknownScripts } from './check-docs.mjs';
import { root } from './files.mjs';
import { withLock } from './lock.mjs';

let scratch = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-scripts-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe('the lock of the set-up', () => {
  test('lets one holder in at a time', async () => {
    const path = join(scratch, 'lock');
    const order: string[] = [];
    const hold = (name: string) =>
      withLock(path, async () => {
        order.push(`${name} in`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`${name} out`);
      });
    await Promise.all([hold('a'), hold('b')]);
    expect([order[0]?.slice(0, 1), order[2]?.slice(0, 1)].sort()).toEqual(['a', 'b']);
    expect(order[1]).toBe(order[0]?.replace('in', 'out'));
    expect(existsSync(path)).toBe(false);
  });

  test('is taken over from a process that has died, by one of those who wait', async () => {
    const path = join(scratch, 'lock');
    writeFileSync(path, String(spawnSync(process.execPath, ['-e', '']).pid));
    let inside = 0;
    const hold = () =>
      withLock(path, async () => {
        inside += 1;
        expect(inside).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
      });
    await Promise.all([hold(), hold(), hold()]);
  });

  test('holds the process id of the one who has it', async () => {
    const path = join(scratch, 'lock');
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    writeFileSync(path, String(dead));
    expect(await withLock(path, () => readFileSync(path, 'utf8'))).toBe(String(process.pid));
  });

  test('is let go when the work throws', async () => {
    const path = join(scratch, 'lock');
    const work = withLock(path, () => {
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(existsSync(path)).toBe(false);
  });
});

describe('the test command', () => {
  /** Runs scripts/test.mjs on one file, which it finds through a vitest project of its own. */
  function runTests(text: string | undefined): {
    lastLine: string | undefined;
    skipped: string[];
    status: number | null;
  } {
    writeFileSync(join(scratch, 'vitest.config.mjs'), 'export default { test: { globals: true } };');
    if (text !== undefined) writeFileSync(join(scratch, 'a.test.mjs'), text);
    const { stdout, status } = spawnSync(process.execPath, [join(root, 'scripts/test.mjs'), '--root', scratch], {
      encoding: 'utf8',
    });
    const lines = stdout.trimEnd().split('\n');
    return { lastLine: lines.at(-1), skipped: lines.filter((line) => line.startsWith('skipped: ')), status };
  }

  test('ends with the counts and succeeds when all tests pass', () => {
    const result = runTests("test('a', () => {}); test('b', () => {});");
    expect(result).toEqual({ lastLine: '2 passed, 0 failed', skipped: [], status: 0 });
  });

  test('names what was skipped', () => {
    const result = runTests("test('a', () => {}); test('b', (ctx) => ctx.skip('no FUSE here'));");
    expect(result).toEqual({
      lastLine: '1 passed, 0 failed, 1 skipped',
      skipped: ['skipped: a.test.mjs > b (no FUSE here)'],
      status: 0,
    });
  });

  test.each([
    ['a test fails', "test('a', () => {}); test('b', () => expect(1).toBe(2));", '1 passed, 1 failed'],
    ['a file does not load', "import './missing.mjs';", '0 passed, 1 failed'],
    ['no test is found', undefined, '0 passed, 1 failed'],
    [
      'an error happens outside every test',
      "test('a', async () => { Promise.reject(new Error('lost')); });",
      '1 passed, 1 failed',
    ],
  ])('fails when %s', (_case, text, lastLine) => {
    expect(runTests(text)).toMatchObject({ lastLine, status: 1 });
  });
});

describe('bin/cairn', () => {
  test('says what to run when nothing is built', () => {
    mkdirSync(join(scratch, 'bin'));
    writeFileSync(join(scratch, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(scratch, 'bin/cairn'), readFileSync(join(root, 'bin/cairn')));
    const { status, stderr } = spawnSync(process.execPath, [join(scratch, 'bin/cairn')], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'cairn: the program is not built yet; run `npm run setup` first\n',
    });
  });
});

describe('the lock file', () => {
  test('names no registry', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
    const named = Object.values(lock.packages).filter((entry) => Object.hasOwn(entry as object, 'resolved'));
    expect(named).toEqual([]);
  });

  test('is in step with package.json', () => {
    const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages[''];
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect({ dependencies: locked.dependencies, devDependencies: locked.devDependencies }).toEqual({
      dependencies,
      devDependencies,
    });
  });
});

describe('the check of the documents', () => {
  test.each([
    ['[a](missing.md)', 'links to missing.md, which does not exist'],
    ['[a](README.md#nothing)', 'links to README.md#nothing, which has no such heading'],
    ['see `src/core/missing.ts`', 'mentions src/core/missing.ts, which does not exist'],
    ['see `docs/missing/`', 'mentions docs/missing/, which does not exist'],
  ])('refuses %s', (line, mistake) => {
    expect(brokenReferences('docs/adr/a.md', line)).toEqual([mistake]);
  });

  test.each([
    '[a](README.md)',
    '[a](README.md#how-to-write-one)',
    '[a](https://example.org/missing.md)',
    'see `src/core/base/env.ts:12` and `src/core/` and `src/*/missing.ts`',
  ])('passes %s', (line) => {
    expect(brokenReferences('docs/adr/a.md', line)).toEqual([]);
  });

  test('refuses a command that package.json does not offer', () => {
    expect(unknownScripts('$ npm run nothing && npm run --silent bench -- --json')).toEqual([
      'runs nothing, which package.json does not offer',
    ]);
  });

  test('refuses a decision without its sections or status', () => {
    expect(decisionMistakes('# 9. A title\n\nStatus: undecided\n\n## Question\n\n## Decision\n\n## Why\n')).toEqual([
      'lacks "## What it costs"',
      'lacks "## What would change our mind"',
      'its status is "undecided"',
    ]);
  });
});

test('every command that package.json offers names a script that exists or is built', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const named = Object.values(scripts as Record<string, string>).flatMap(
    (text) => text.match(/(?:scripts|bin)\/\S+/g) ?? [],
  );
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
