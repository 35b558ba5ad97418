/** The verbs as people and scripts meet them, on a real cluster: what they print, how they fail, what they leave behind. */
import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { begin, program, type Ran, type RunOptions, run as runProgram, until } from './command-line.test-support.ts';
import { checksums, noise } from './tree.test-support.ts';

const mebi = 1024 * 1024;
const shell = promisify(execFile);
let scratch: string;
let cluster: LocalCluster;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-cli-'));
  cluster = await LocalCluster.start({ program });
  writeFileSync(join(scratch, 'small'), 'a small file\n');
  writeFileSync(join(scratch, 'big'), noise(1, 3 * mebi));
}, 90_000);
afterAll(async () => {
  await cluster?.stop();
  rmSync(scratch, { recursive: true, force: true });
}, 30_000);

function run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runProgram(args, { cwd: scratch, ...options, env: { CAIRN_CLUSTER: cluster.url, ...options.env } });
}

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args);
  expect({ code, stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** @returns what is wrong: a claim about each is a line of the table that is checked */
async function refused(args: readonly string[], code: number, says: RegExp, options?: RunOptions): Promise<void> {
  const ran = await run(args, options);
  expect({ code: ran.code, stdout: ran.stdout }, `${args.join(' ')}: ${ran.stderr}`).toEqual({ code, stdout: '' });
  expect(ran.stderr).toMatch(/^cairn: \[[A-Z_]+\] [^\n]+\n$/);
  expect(ran.stderr).toMatch(says);
}

describe('wrong words', () => {
  it.each([
    [['statsu'], /did you mean status\?/],
    [['statsu', '--help'], /did you mean status\?/],
    [['help', 'statsu'], /did you mean status\?/],
    [['--jsn'], /unknown option '--jsn'; did you mean --json\?/],
    [['ls', '--recursiv'], /\[USAGE\] unknown option '--recursiv'; did you mean --recursive\?/],
    [['mv', '/a'], /\[USAGE\] missing required argument 'to'; see `cairn mv --help`/],
    [['snapshot', '/a', '/b', '/c'], /\[USAGE\] too many arguments/],
    [['cat', '--length', '-5', '/a'], /\[USAGE\] .*whole number/],
    [['cat', '--offset', '99999999999999999999', '/a'], /\[USAGE\] .*whole number/],
    [['cat', '--offset', '', '/a'], /\[USAGE\] .*whole number/],
    [['ls', '--timeout', '0'], /\[USAGE\] .*seconds/],
    [['up', '--masters', '99'], /\[USAGE\] .*from 1 to 9/],
    [['master'], /\[USAGE\] required option/],
  ])('%j is told as a usage error in one line, with exit code 2', async (args, says) => {
    await refused(args, 2, says);
  });

  it('that are not UTF-8 are refused, and not taken for others', async () => {
    const typed = shell('bash', ['-c', `"${program}" mkdir $'/bad\\xff'`], {
      env: { ...process.env, CAIRN_CLUSTER: cluster.url },
    });
    await expect(typed).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('not valid UTF-8') });
    await ok('mkdir', '/\ufffd'); // which is a name like any other
    await ok('rm', '-r', '/\ufffd');
  });

  it('nothing at all shows the help on stderr, with exit code 2', async () => {
    const { code, stdout, stderr } = await run([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Running a cluster:');
    expect(stderr).toMatch(/\ncairn: \[USAGE\] a verb is missing/);
  });
});

describe('errors', () => {
  it('have the exit code of the table, and say what to do', { timeout: 60_000 }, async () => {
    await ok('mkdir', '/errors');
    await ok('put', 'small', '/errors/file');
    const long = `/${'n'.repeat(256)}`;
    await Promise.all([
      refused(['ls', 'relative'], 3, /\[INVALID_ARGUMENT\] relative: a path begins with \//),
      refused(['mkdir', long], 3, /\[NAME_TOO_LONG\]/),
      refused(['mkdir', '/errors/../x'], 3, /\[INVALID_NAME\].* \.\. is not a name/),
      refused(['rm', '-r', '/'], 3, /\[INVALID_ARGUMENT\] \/: the root cannot be removed/),
      refused(['mkdir', '/missing/below'], 4, /its directory does not exist; make it first, or all with -p/),
      refused(['put', 'small', '/missing/below'], 4, /its directory does not exist; .* -p/),
      refused(['mv', '/errors/file', '/missing/'], 4, /there is no such directory/),
      refused(['fsck', '--regions', '/errors'], 6, /\[IS_A_DIRECTORY\]/),
      refused(['drain', '99'], 4, /\[NOT_FOUND\] there is no chunkserver 99/),
      refused(['put', '--factor', '2', '--min-replicas', '3', 'small', '/never'], 3, /\[INVALID_ARGUMENT\]/),
      refused(['ls', '/missing'], 4, /\[NOT_FOUND\] \/missing/),
      refused(['mkdir', '/errors'], 5, /\[EXISTS\] \/errors/),
      refused(['put', '-n', 'small', '/errors/file'], 5, /\[EXISTS\]/),
      refused(['put', '-n', 'big', '/errors/file'], 5, /\[EXISTS\]/),
    ]);
    await Promise.all([
      refused(['cat', '/errors'], 6, /\[IS_A_DIRECTORY\]/),
      refused(['append', '/errors', 'small'], 6, /\[IS_A_DIRECTORY\]/),
      refused(['put', 'small', '/errors/file/x'], 6, /\[NOT_A_DIRECTORY\]/),
      refused(['rm', '/errors'], 6, /\[NOT_EMPTY\]|\[IS_A_DIRECTORY\]/),
      refused(['mv', '/errors', '/errors/in'], 6, /\[INTO_ITSELF\]/),
      refused(['mv', '/errors', '/a', '/errors/file'], 6, /\[NOT_A_DIRECTORY\].*several sources need one/),
      refused(['cp', '-r', '/errors', '/errors/in'], 6, /\[INTO_ITSELF\]/),
      refused(['put', '-', '/errors'], 6, /\[IS_A_DIRECTORY\]/),
      refused(['get', '/errors', 'out'], 2, /copy it with -r/),
      refused(['put', '.', '/out'], 2, /copy it with -r/),
    ]);
    await Promise.all([
      refused(['put', 'missing', '/x'], 14, /\[LOCAL_IO\] cannot read missing: there is no such file/),
      refused(['append', '/x', 'missing'], 14, /\[LOCAL_IO\]/),
      refused(['append', '/x', '.'], 14, /\[LOCAL_IO\] cannot read \.: it is a directory/),
      refused(['get', '-n', '/errors/file', 'small'], 14, /\[LOCAL_IO\].*exists already/),
      refused(['get', '/errors/file', 'no/such/directory'], 14, /\[LOCAL_IO\].*does not exist/),
      refused(['ls', '--cluster', 'http://x'], 3, /cairn:\/\/host:port/),
    ]);
    await refused(['ls', '/x'], 4, /NOT_FOUND/); // what was not appended was not made either
  });

  it('are JSON with --json, wherever that stands', async () => {
    for (const args of [
      ['--json', 'stat', '/missing'],
      ['stat', '/missing', '--json'],
      ['statsu', '--json'],
      ['--json'],
    ]) {
      const { stderr } = await run(args);
      const document = JSON.parse(stderr) as { error: { code: string; message: string } };
      expect(['NOT_FOUND', 'USAGE']).toContain(document.error.code);
      expect(document.error.message).not.toBe('');
    }
  });

  it('of one path do not keep the others from being done', async () => {
    await ok('mkdir', '/one', '/three');
    const { code, stderr } = await run(['rm', '--json', '/one', '/two', '/three']);
    expect(code).toBe(4);
    expect(JSON.parse(stderr)).toMatchObject({ path: '/two', error: { code: 'NOT_FOUND' } });
    expect(JSON.parse(`[${(await ok('ls', '/', '--json')).trim().split('\n').join(',')}]`)).not.toContainEqual(
      expect.objectContaining({ name: 'three' }),
    );
  });
});

describe('copying', () => {
  it('tells what cannot be copied, copies the rest, and does not follow circles of links', async () => {
    const tree = join(scratch, 'odd');
    mkdirSync(join(tree, 'sub'), { recursive: true });
    mkdirSync(join(tree, 'nothing in it'));
    writeFileSync(join(tree, 'plain'), 'plain');
    writeFileSync(join(tree, 'zero'), '');
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0x62, 0xff, 0xfe])]), 'no UTF-8');
    symlinkSync('../plain', join(tree, 'sub/link'));
    symlinkSync('..', join(tree, 'sub/circle'));
    symlinkSync('nowhere', join(tree, 'dangling'));
    await shell('mkfifo', [join(tree, 'pipe')]);
    const { code, stdout, stderr } = await run(['put', '-r', 'odd', '/odd', '--json']);
    const summary = JSON.parse(stdout.trim().split('\n').at(-1)!) as object;
    expect(summary).toMatchObject({ event: 'summary', files: 3, failed: 4 });
    const told = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { error: { code: string } });
    expect(
      told
        .slice(0, -1)
        .map(({ error }) => error.code)
        .sort(),
    ).toEqual(['INVALID_NAME', 'LOCAL_IO', 'LOCAL_IO', 'NOT_SUPPORTED']);
    expect([3, 14]).toContain(code);
    await ok('get', '-r', '/odd', 'odd-again');
    expect([...(await checksums(join(scratch, 'odd-again'))).keys()]).toEqual(['plain', 'sub/link', 'zero']);
    expect(readdirSync(join(scratch, 'odd-again'))).toContain('nothing in it');
    expect(readFileSync(join(scratch, 'odd-again/sub/link'), 'utf8')).toBe('plain');
  });

  it('gives back the very bytes, through files, stdin and stdout, devices and links', async () => {
    const big = readFileSync(join(scratch, 'big'));
    await ok('put', 'big', '/big');
    await ok('get', '/big', 'big-again');
    expect(readFileSync(join(scratch, 'big-again')).equals(big)).toBe(true);
    expect((await run(['put', '-', '/from-stdin'], { input: big })).code).toBe(0);
    const piped = await shell(
      'sh',
      ['-c', `"${program}" cat /from-stdin | cmp - big && "${program}" get /big - | cmp - big`],
      {
        cwd: scratch,
        env: { ...process.env, CAIRN_CLUSTER: cluster.url },
      },
    );
    expect(piped.stdout).toBe('');
    await ok('get', '/big', '/dev/null');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    symlinkSync('big-again', join(scratch, 'link'));
    await ok('put', 'small', '/small');
    await ok('get', '/small', 'link');
    expect(readFileSync(join(scratch, 'big-again'), 'utf8')).toBe('a small file\n');
    await ok('append', '/appended', 'big');
    expect(JSON.parse(await ok('stat', '/appended', '--json'))).toMatchObject({ kind: 'file', size: big.length });
  });

  it('takes a file that grows while it is copied as far as it has come', async () => {
    const path = join(scratch, 'growing');
    writeFileSync(path, noise(2, 8 * mebi));
    const { ended } = begin(['put', 'growing', '/growing'], { cwd: scratch, env: { CAIRN_CLUSTER: cluster.url } });
    writeFileSync(path, noise(3, 4 * mebi), { flag: 'a' });
    expect((await ended).code).toBe(0);
    const size = (JSON.parse(await ok('stat', '/growing', '--json')) as { size: number }).size;
    expect(size).toBeGreaterThanOrEqual(8 * mebi);
    await ok('get', '/growing', 'grown');
    expect(readFileSync(join(scratch, 'grown')).equals(readFileSync(path).subarray(0, size))).toBe(true);
  });

  it('leaves nothing half done behind when it is interrupted', { timeout: 60_000 }, async () => {
    writeFileSync(join(scratch, 'large'), noise(4, 200 * mebi));
    mkdirSync(join(scratch, 'into'));
    await ok('put', 'large', '/large');
    const env = { CAIRN_CLUSTER: cluster.url };
    // Looks on without a process for each look: the copies take about as long as starting one.
    const watcher = await CairnClient.start(nodeEnv({ dir: scratch }), parseClusterUrl(cluster.url));
    const getting = begin(['get', '/large', 'into'], { cwd: scratch, env });
    await until('a part is there', () => readdirSync(join(scratch, 'into')).length > 0);
    getting.child.kill('SIGINT');
    expect((await getting.ended).code).toBe(130);
    expect(readdirSync(join(scratch, 'into'))).toEqual([]);

    await ok('mkdir', '/into');
    await ok('put', 'small', '/into/large');
    for (const words of [
      ['put', 'large', '/into'],
      ['cp', '/large', '/into'],
    ]) {
      const copying = begin(words, { cwd: scratch, env });
      await until('a part is there', async () => (await watcher.readdir('/into')).length > 1);
      copying.child.kill('SIGINT');
      expect((await copying.ended).code).toBe(130);
      expect(await ok('ls', '/into')).toBe('large\n');
      expect(await ok('cat', '/into/large')).toBe('a small file\n');
    }
    await Promise.all(Array.from({ length: 400 }, (_, n) => watcher.mkdir(`/directories/${n}`, { recursive: true })));
    for (let times = 0; times < 4; times++) {
      const copying = begin(['cp', '-r', '/directories', '/into/directories'], { cwd: scratch, env });
      await until('a part is there', async () => (await watcher.readdir('/into')).length > 1);
      copying.child.kill('SIGINT');
      expect((await copying.ended).code).toBe(130);
      expect(await ok('ls', '/into')).toBe('large\n');
    }
    mkdirSync(join(scratch, 'tree'));
    for (let n = 0; n < 12; n++) writeFileSync(join(scratch, 'tree', String(n)), noise(n, 6 * mebi));
    const tree = begin(['put', '-r', 'tree', '/into/tree'], { cwd: scratch, env });
    await until('a part is there', async () => {
      const isThere = await watcher.exists('/into/tree');
      return isThere && (await watcher.readdir('/into/tree')).length > 0;
    });
    await watcher.close();
    tree.child.kill('SIGINT');
    expect((await tree.ended).code).toBe(130);
    expect(await ok('find', '/into', '--name', '.put-*')).toBe('');
    expect(await ok('trash', 'ls')).not.toContain('.put-'); // it would take its room for days

    const appending = begin(['append', '/into/log', '/dev/zero'], { cwd: scratch, env });
    await until('it appends', async () => (await run(['stat', '/into/log'])).code === 0);
    appending.child.kill('SIGINT');
    expect((await appending.ended).code).toBe(130);
    await ok('rm', '-r', '/into', '/large', '/directories');
  });

  it('ends quietly when its reader goes away, and loudly when the disk of its reader is full', async () => {
    const env = { ...process.env, CAIRN_CLUSTER: cluster.url };
    const sh = (script: string) => shell('bash', ['-c', script], { cwd: scratch, env });
    const { stdout, stderr } = await sh(`set -o pipefail; "${program}" cat /from-stdin | head -c 1 | wc -c`);
    expect([stdout.trim(), stderr]).toEqual(['1', '']);
    for (const words of ['cat /from-stdin', 'ls /', 'stat /from-stdin', 'status --json'])
      await expect(sh(`"${program}" ${words} > /dev/full`), words).rejects.toMatchObject({
        code: 14,
        stderr: expect.stringMatching(/\[?"?LOCAL_IO\b[^\n]* write to stdout: ENOSPC[^\n]*\n$/),
      });
  });
});

describe('moving and copying within the cluster', () => {
  it('takes several into a directory, and tells of each that it cannot take', async () => {
    await ok('mkdir', '/several', '/several/into');
    for (const name of ['a', 'b']) await ok('put', 'small', `/several/${name}`);
    await ok('cp', '/several/a', '/several/b', '/several/into');
    expect(await ok('ls', '/several/into')).toBe('a\nb\n');
    const moved = await run(['mv', '--json', '/several/a', '/several/missing', '/several/b', '/several/into']);
    expect(moved).toMatchObject({ code: 4, stderr: expect.stringContaining('/several/missing') });
    expect(moved.stdout.trim().split('\n')).toEqual([
      '{"from":"/several/a","to":"/several/into/a"}',
      '{"from":"/several/b","to":"/several/into/b"}',
    ]);
    expect(await ok('ls', '/several')).toBe('into/\n');
  });
});

describe('appending', () => {
  it('keeps the lines of several shells whole, each once, in the order of its shell', async () => {
    const lines = (who: string) => Array.from({ length: 500 }, (_, i) => `${who} ${i}`);
    const all = await Promise.all(
      ['a', 'b', 'c'].map((who) => run(['append', '--lines', '/lines'], { input: `${lines(who).join('\n')}\n` })),
    );
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0]);
    const got = (await ok('cat', '/lines')).trimEnd().split('\n');
    for (const who of ['a', 'b', 'c']) expect(got.filter((line) => line.startsWith(who))).toEqual(lines(who));
    expect(got.length).toBe(1500);
  });
});

describe('JSON', () => {
  const reference = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
  const sections = new Map(reference.split(/^##+ /m).map((part) => [part.split('\n', 1)[0]!, part]));

  it('has the names that docs/cli.md says, all of them', { timeout: 30_000 }, async () => {
    for (const [verb, words, ...also] of [
      ['put', ['put', 'small', '/json']],
      ['put', ['get', '/json', 'json-again']],
      ['append', ['append', '/json', 'small']],
      ['mkdir', ['mkdir', '/json-directory']],
      ['cp', ['cp', '/json', '/json-directory']],
      ['mv', ['mv', '/json', '/json-2']],
      ['stat', ['ls', '/']],
      ['stat', ['stat', '/json-directory', '/json-2']],
      ['du', ['du']],
      ['df', ['df']],
      ['servers', ['servers']],
      ['status', ['status'], 'servers', 'consensus'],
      ['consensus', ['consensus', 'status']],
      ['consensus', ['consensus', 'transfer', '2']],
      ['rm', ['rm', '/json-2']],
    ] as [string, string[], ...string[]][]) {
      const documented = [verb, ...also].map((name) => sections.get(name)).join('');
      const printed = (await ok(...words, '--json'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object);
      for (const name of printed.flatMap(namesIn)) expect(documented, `${words[0]}: ${name}`).toContain(`\`${name}\``);
    }
  });

  function namesIn(value: unknown): string[] {
    if (Array.isArray(value)) return value.flatMap(namesIn);
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).flatMap(([name, inner]) => [name, ...namesIn(inner)]);
  }
});

describe('a cluster that does not answer', () => {
  it('is told quickly, with its address, when nobody listens there', async () => {
    const ran = await run(['ls', '/', '--cluster', 'cairn://127.0.0.1:1']);
    expect(ran.code).toBe(7);
    expect(ran.stderr).toMatch(/\[NO_QUORUM\] no cluster answers at 127\.0\.0\.1:1 .*`cairn up`/);
    expect(ran.ms).toBeLessThan(10_000);
  });

  it('is told within --timeout when it has lost its majority', { timeout: 60_000 }, async () => {
    const stopped = [1, 2].map((id) => cluster.process('master', id).pid);
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    try {
      const [status, ls, mkdir] = await Promise.all([
        run(['status', '--timeout', '3']),
        run(['ls', '/', '--timeout', '3']),
        run(['mkdir', '/q', '--timeout', '3']),
      ]);
      for (const ran of [status, ls, mkdir]) {
        expect([7, 8], ran.stderr).toContain(ran.code);
        expect(ran.ms).toBeLessThan(12_000);
      }
      expect(ls.stderr).toMatch(/\[NO_QUORUM\]/);
      expect(status.stdout.match(/does not answer/g)).toHaveLength(2);
      expect(status.stdout).toMatch(/: ?\d+ +answers, and knows no leader/);
    } finally {
      for (const pid of stopped) process.kill(pid, 'SIGCONT');
    }
    await until('it answers again', async () => (await run(['ls', '/'])).code === 0);
  });
});
