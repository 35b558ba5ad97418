/** `cairn up` and the roles it runs: what they refuse, how they stop, what comes back. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { begin, program, type Running, run, until } from './command-line.test-support.ts';

const operations = fileURLToPath(new URL('../../../docs/operations.md', import.meta.url));
let scratch: string;
let cluster: LocalCluster | undefined;
let roles: Running[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-up-'));
});
afterEach(async () => {
  for (const { child } of roles) child.kill('SIGTERM');
  await Promise.all(roles.map(({ ended }) => ended));
  roles = [];
  await cluster?.stop();
  cluster = undefined;
}, 30_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Who has ended and only waits for its parent to ask how (which an orphan's may never do) is not alive. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ESRCH') throw cause;
    return false;
  }
}

describe('up', () => {
  it('that is interrupted while it starts takes no node for dead that the same Ctrl-C has ended', {
    timeout: 60_000,
  }, async () => {
    const dir = join(scratch, 'interrupted');
    const words = [program, 'up', '--json', '--dir', dir, '--port-base', '28400'];
    const child = spawn(process.execPath, words, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    for await (const piece of child.stdout) {
      const before = out;
      out += String(piece);
      if (out.includes('started') && !before.includes('started')) process.kill(-child.pid!, 'SIGINT'); // as a terminal does
    }
    expect(out).toContain('"event":"started"');
    expect(out).not.toContain('"event":"died"');
  });

  it('refuses a port in use, another directory, another format and another set of masters, each by its name', {
    timeout: 90_000,
  }, async () => {
    cluster = await LocalCluster.start({ program, masters: 1, chunkservers: 1, dir: join(scratch, 'one') });
    const ports = ['--port-base', String(cluster.portBase)];

    const second = await run(['up', '--dir', join(scratch, 'two'), ...ports]);
    expect(second.code).toBe(12);
    expect(second.stderr).toMatch(
      new RegExp(`^cairn: \\[PORT_IN_USE\\] 127\\.0\\.0\\.1:${cluster.portBase} is in use[^\\n]*\\n$`),
    );
    expect(second.stdout).toBe(''); // nothing was started
    expect(readdirSync(join(scratch, 'two'))).toEqual([]); // nor settled: it may be tried again with other nodes

    const inTheWay = await run(['up', '--dir', join(cluster.dir, 'cairn.json'), ...ports]);
    expect([inTheWay.code, inTheWay.stderr]).toEqual([14, expect.stringContaining('a file is in the way')]);

    const same = await run(['up', '--dir', cluster.dir, ...ports]);
    expect([same.code, same.stderr]).toEqual([12, expect.stringContaining('[DIR_IN_USE]')]);

    const later = join(scratch, 'later');
    mkdirSync(later);
    writeFileSync(join(later, 'cairn.json'), '{"formatVersion": 99, "cluster": "x", "role": "cluster", "id": 0}');
    const format = await run(['up', '--dir', later]);
    expect([format.code, format.stderr]).toEqual([12, expect.stringContaining('[WRONG_FORMAT]')]);

    await cluster.stop();
    const role = await run(['up', '--dir', join(cluster.dir, 'master-1/data')]);
    expect([role.code, role.stderr]).toEqual([12, expect.stringContaining('[WRONG_CLUSTER]')]);
    const masters = await run(['up', '--dir', cluster.dir, '--masters', '3', ...ports]);
    expect([masters.code, masters.stderr]).toEqual([2, expect.stringContaining('made with 1 master,')]);

    const engine = await run(['up', '--dir', cluster.dir, '--engine', 'paxos', ...ports]);
    expect([engine.code, engine.stderr]).toEqual([12, expect.stringContaining('made with the engine raft')]);

    // One node's directory taken from another cluster: that node cannot start, and says why.
    const stranger = join(cluster.dir, 'chunkserver-1/data/cairn.json');
    writeFileSync(stranger, readFileSync(stranger, 'utf8').replace(/"cluster": "[^"]*"/, '"cluster": "other"'));
    const mixed = await run(['up', '--dir', cluster.dir, ...ports]); // with the nodes that it has
    expect(mixed.code).toBe(12);
    expect(mixed.stderr).toMatch(/\[WRONG_CLUSTER\] chunkserver-1: /);
  });

  it('asks for huge pages for chunkservers, which move bulk bytes, and not for masters', async ({ skip }) => {
    if (!existsSync('/proc/self/environ')) skip('this system does not tell with what a process was started');
    cluster = await LocalCluster.start({ program, masters: 1, chunkservers: 1 });
    const tunables = cluster.processes.map(({ role, pid }) => {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      return [role, environment.some((one) => /^GLIBC_TUNABLES=.*glibc\.malloc\.hugetlb=1/.test(one))];
    });
    expect(Object.fromEntries(tunables)).toEqual({ master: false, chunkserver: true });
  });

  it('refuses a wrong key with its line, and a directory that cannot be made', { timeout: 60_000 }, async () => {
    const config = join(scratch, 'wrong.yaml');
    writeFileSync(config, 'durability: disk\nreplication:\n  fector: 3\n');
    const wrong = await run(['up', '--config', config, '--dir', join(scratch, 'never')]);
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringContaining('line 3: unknown key "replication.fector"'),
    ]);
    writeFileSync(config, 'masters:\n  - {id: 1, address: "10.0.0.1:7070"}\n');
    const named = await run(['up', '--config', config, '--dir', join(scratch, 'never')]);
    expect([named.code, named.stderr]).toEqual([2, expect.stringContaining('leave out the keys masters and node')]);
    for (const dir of ['/proc/cairn', join(config, 'below')]) {
      const made = await run(['up', '--dir', dir]);
      expect([made.code, made.stderr], dir).toEqual([14, expect.stringContaining('[LOCAL_IO]')]);
    }
  });

  it('works with one master and one chunkserver, and says that copies are too few', { timeout: 60_000 }, async () => {
    cluster = await LocalCluster.start({ program, masters: 1, chunkservers: 1 });
    const env = { CAIRN_CLUSTER: cluster.url };
    expect(await run(['put', program, '/alone'], { env })).toMatchObject({ code: 0, stderr: '' });
    expect((await run(['cat', '/alone'], { env })).stdout).toBe(readFileSync(program, 'utf8'));
    const status = JSON.parse((await run(['status', '--json'], { env })).stdout) as { underReplicatedChunks: number };
    expect(status.underReplicatedChunks).toBe(1);
  });

  it('goes on when the directory of one node is gone, and starts that node when it is there again', {
    timeout: 60_000,
  }, async () => {
    cluster = await LocalCluster.start({ program, masters: 1, chunkservers: 2 });
    const env = { CAIRN_CLUSTER: cluster.url };
    const home = join(cluster.dir, 'chunkserver-2');
    renameSync(home, `${home}-away`);
    const { pid } = cluster.processes.find(({ role, id }) => role === 'chunkserver' && id === 2)!;
    process.kill(pid, 'SIGKILL');
    const stateIs = async (wanted: string): Promise<boolean> => {
      const { stdout } = await run(['servers', '--json'], { env });
      const { chunkservers } = JSON.parse(stdout) as { chunkservers: { id: number; state: string }[] };
      return chunkservers.find(({ id }) => id === 2)?.state === wanted;
    };
    await until('it is missed', () => stateIs('suspect'));
    expect(await run(['put', program, '/meanwhile'], { env })).toMatchObject({ code: 0, stderr: '' });
    renameSync(`${home}-away`, home);
    await until('it is back', () => stateIs('healthy'));
  });

  it('leaves no process behind when it is killed, comes back on the same directory, and stops in 5 s', {
    timeout: 90_000,
  }, async () => {
    const dir = join(scratch, 'killed');
    cluster = await LocalCluster.start({ program, dir });
    const { portBase, url } = cluster;
    const pids = cluster.processes.map(({ pid }) => pid);
    expect(await run(['put', program, '/kept', '--durability', 'disk', '--cluster', url])).toMatchObject({ code: 0 });
    process.kill(cluster.supervisorPid, 'SIGKILL');
    cluster = await LocalCluster.start({ program, dir, portBase }); // at once, while the old ones are still leaving
    expect(pids.filter(isAlive)).toEqual([]);
    expect((await run(['cat', '/kept', '--cluster', url])).stdout).toBe(readFileSync(program, 'utf8'));
    const again = cluster.processes.map(({ pid }) => pid);
    const startedAt = performance.now();
    await cluster.stop();
    expect(performance.now() - startedAt).toBeLessThan(5000);
    expect(again.filter(isAlive)).toEqual([]);
  });
});

describe('roles run by hand', () => {
  it('start from the files that docs/operations.md shows', { timeout: 90_000 }, async () => {
    const [master, chunkserver] = [...readFileSync(operations, 'utf8').matchAll(/^```yaml\n(.*?)^```$/gms)].map(
      (match) => match[1]!,
    ) as [string, string];
    const ports = await freePorts(4);
    const here = (yaml: string, dir: string) =>
      yaml
        .replace(/10\.0\.0\.(\d):7070/g, (_, n: string) => `127.0.0.1:${ports[Number(n) - 1]}`)
        .replace(/10\.0\.1\.7:7071/, `127.0.0.1:${ports[3]}`)
        .replace(/dir: .*/, `dir: ${dir}`);
    const start = (role: string, name: string, yaml: string): void => {
      const file = join(scratch, `${name}.yaml`);
      writeFileSync(file, here(yaml, join(scratch, name)));
      roles.push(begin([role, '--config', file]));
    };
    for (const id of [1, 2, 3]) start('master', `by-hand-${id}`, master.replace(/id: 1( +# this one)/, `id: ${id}$1`));
    start('chunkserver', 'by-hand-7', chunkserver);
    const env = { CAIRN_CLUSTER: `cairn://127.0.0.1:${ports[1]}` };
    await until(
      'a file can be written',
      async () => (await run(['put', program, '/by-hand', '--timeout', '3'], { env })).code === 0,
    );
    expect((await run(['cat', '/by-hand'], { env })).stdout).toBe(readFileSync(program, 'utf8'));
    const { chunkservers } = JSON.parse((await run(['servers', '--json'], { env })).stdout) as {
      chunkservers: { id: number; rack: string }[];
    };
    expect(chunkservers).toMatchObject([{ rack: 'b2' }]);
    expect(existsSync(join(scratch, 'by-hand-7/cairn.json'))).toBe(true);

    // A second process on a directory in use, and one whose configuration lacks what it needs.
    const second = await run(['chunkserver', '--config', join(scratch, 'by-hand-7.yaml')]);
    expect([second.code, second.stderr]).toEqual([12, expect.stringContaining('[DIR_IN_USE]')]);
    writeFileSync(join(scratch, 'lacking.yaml'), 'cluster: photos\n');
    const lacking = await run(['master', '--config', join(scratch, 'lacking.yaml')]);
    expect([lacking.code, lacking.stderr]).toEqual([2, expect.stringContaining('[CONFIG_INVALID]')]);
  });
});

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
