import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { program, run } from '../end-to-end/command-line.test-support.ts';
import { experiments } from './experiments.ts';
import { isRoot, namespaces, slow } from './quick.test-support.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'lab-scratch-'));
  chmodSync(scratch, 0o777);
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

function runAs(privileges: readonly string[], args: readonly string[]) {
  const command = [...privileges, process.execPath, program, ...args, '--scratch', scratch];
  const { status, stderr } = spawnSync('setpriv', command, { encoding: 'utf8' });
  return { code: status, stderr };
}

describe('what is asked for wrongly', () => {
  it.each([
    [['lab', 'nothing'], 2, 'there is no experiment nothing'],
    [['lab', 'consensus', '--clients', 'many'], 2, 'whole number'],
  ])('%j is refused', async (args, code, says) => {
    const ran = await run(args);
    expect(ran.code).toBe(code);
    expect(ran.stderr).toContain(says);
  });
});

describe.skipIf(!isRoot)('without what networks need', () => {
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
  const powerless = ['--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];

  it.each([
    ['root', nobody, 'network namespaces need root; use sudo'],
    ['the right to make namespaces', powerless, 'no network namespace can be made here'],
  ])('%s: an experiment on a network says so, and makes nothing', slow, (_, privileges, says) => {
    const before = namespaces();
    const ran = runAs(privileges, ['lab', 'gfs-fig3', '--quick']);
    expect(ran.stderr).toContain(`[NOT_SUPPORTED] gfs-fig3: ${says}`);
    expect(ran.code).toBe(3);
    expect(readdirSync(scratch)).toEqual([]);
    expect(namespaces().filter((name) => !before.includes(name) && name.endsWith('-trial'))).toEqual([]);
  });
});

describe('when all ports are taken', () => {
  const base = 27_600;
  let servers: Server[];
  beforeEach(async () => {
    servers = await Promise.all(Array.from({ length: 200 }, (_, i) => listen(base + i)));
  });
  afterEach(() => Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve)))));

  it.each(['consensus', 'recovery-consistency'])('%s says so', slow, async (experiment) => {
    const ran = await run(['lab', experiment, '--quick', '--port-base', String(base), '--scratch', scratch]);
    expect(ran.stderr).toMatch(/\[PORT_IN_USE\] no .*free ports .*from 27600 on; choose another --port-base/);
    expect(ran.code).toBe(12);
    expect(readdirSync(scratch)).toEqual([]);
  });
});

/** Somebody else may listen there already: as good. */
function listen(port: number): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(server));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

describe.skipIf(!isRoot)('a disk that is too small', () => {
  beforeEach(() => void execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', scratch]));
  afterEach(() => void execFileSync('umount', [scratch]));

  it('is told before anything is started', async () => {
    const ran = await run(['lab', 'files', '--scratch', scratch]);
    expect(ran.stderr).toMatch(/\[DISK_FULL\] .* has 6\d MiB free; files wants \d+; name another place with --scratch/);
    expect(ran.code).toBe(11);
    expect(readdirSync(scratch)).toEqual([]);
  });
  it('keeps none of all experiments from its turn', async () => {
    const ran = await run(['lab', 'all', '--scratch', scratch]);
    expect(ran.stderr.match(/^\S+ failed: .* MiB free/gm)).toHaveLength(experiments.length);
    expect(ran.stderr).toMatch(/\[DISK_FULL\] consensus: .*; failover: .* MiB free/);
    expect(ran.code).toBe(11);
    expect(readdirSync(scratch)).toEqual([]);
  });
});
