import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { root } from './files.mjs';

/** A clone in miniature, with an `npm` that notes how it was called and installs esbuild by a link. */
let clone = '';
const npmCalls = () => {
  const path = join(clone, 'npm-calls');
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
};

beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'cairn-setup-'));
  cpSync(join(root, 'scripts'), join(clone, 'scripts'), { recursive: true });
  cpSync(join(root, 'bin'), join(clone, 'bin'), { recursive: true });
  write('package.json', '{ "type": "module", "version": "1.2.3" }');
  write('package-lock.json', lockOf('1.0.0'));
  write('src/apps/cli/main.ts', "console.log((await import('./verbs.ts')).greeting satisfies string);");
  write('src/apps/cli/verbs.ts', "export const greeting: string = 'hello';");
  useNpm('');
});
afterEach(() => rmSync(clone, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(clone, path)), { recursive: true });
  writeFileSync(join(clone, path), text);
}

function lockOf(version: string): string {
  return JSON.stringify({
    packages: { '': {}, 'node_modules/a': { version }, 'node_modules/elsewhere': { version, optional: true } },
  });
}

/** @param refusal shell commands run first. */
function useNpm(refusal: string): void {
  write(
    'fake/npm',
    `#!/bin/sh
echo "$@" >> npm-calls
echo 'npm talks on stdout'
${refusal}
mkdir -p node_modules && ln -sfn ${root}/node_modules/esbuild node_modules/esbuild
sed 's/,"node_modules.elsewhere".*/}}/' package-lock.json > node_modules/.package-lock.json
`,
  );
  chmodSync(join(clone, 'fake/npm'), 0o755);
}

function fakeNpmFirst(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: [join(clone, 'fake'), process.env.PATH].join(delimiter) };
}

function run(...args: string[]) {
  const options = { cwd: clone, encoding: 'utf8', env: fakeNpmFirst() } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
  return { status, stdout, stderr };
}

const setup = () => run('scripts/setup.mjs');

describe('the set-up', () => {
  test('installs and builds a fresh clone, with nothing on stdout', () => {
    expect(setup()).toEqual({ status: 0, stdout: '', stderr: 'setup: installing packages\nsetup: building\n' });
    expect(npmCalls()).toEqual(['ci']);
    expect(run('bin/cairn')).toEqual({ status: 0, stdout: 'hello\n', stderr: '' });
  });

  test('does nothing the second time', () => {
    setup();
    expect(setup()).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(npmCalls()).toEqual(['ci']);
  });

  test('builds again when a source has changed, and not when only a test has', () => {
    setup();
    write('src/apps/cli/verbs.test.ts', 'nothing that compiles');
    expect(setup().stderr).toBe('');
    write('src/apps/cli/verbs.ts', "export const greeting = 'good day';");
    expect(setup().stderr).toBe('setup: building\n');
    expect(run('bin/cairn').stdout).toBe('good day\n');
  });

  test('installs again when the lock file names another version', () => {
    setup();
    write('package-lock.json', lockOf('2.0.0'));
    expect(setup().status).toBe(0);
    expect(npmCalls()).toEqual(['ci', 'install --no-save']);
  });

  test('takes a list of packages that is written only in part for none', () => {
    setup();
    write('node_modules/.package-lock.json', lockOf('1.0.0').slice(0, 20));
    expect(setup().status).toBe(0);
    expect(npmCalls()).toEqual(['ci', 'install --no-save']);
  });

  test('falls back to npm install where npm ci refuses the lock file', () => {
    useNpm('[ "$1" = ci ] && exit 1');
    expect(setup().status).toBe(0);
    expect(npmCalls()).toEqual(['ci', 'install --no-save']);
    expect(run('bin/cairn').stdout).toBe('hello\n');
  });

  test('fails with a reason when npm cannot install at all', () => {
    useNpm('exit 1');
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain('setup: npm could not install the packages; its message is above\n');
    expect(readdirSync(clone)).not.toContain('.setup-lock.tmp');
  });

  test('fails and leaves the last build alone when a source does not compile', () => {
    setup();
    write('src/apps/cli/verbs.ts', 'export const greeting = ;');
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain('src/apps/cli/verbs.ts:1:24');
    expect(run('bin/cairn').stdout).toBe('hello\n');
  });

  test('keeps the chunks of the build before, which a running program may still load', () => {
    setup();
    const before = readdirSync(join(clone, 'dist/chunks'));
    write('src/apps/cli/verbs.ts', "export const greeting = 'good day';");
    setup();
    expect(readdirSync(join(clone, 'dist/chunks'))).toEqual(expect.arrayContaining(before));
  });

  test('lets two that start at once install and build once', async () => {
    const env = fakeNpmFirst();
    const start = () =>
      new Promise((resolve) => {
        spawn(process.execPath, ['scripts/setup.mjs'], { cwd: clone, env, stdio: 'ignore' }).on('exit', resolve);
      });
    expect(await Promise.all([start(), start()])).toEqual([0, 0]);
    expect(npmCalls()).toEqual(['ci']);
  });
});
