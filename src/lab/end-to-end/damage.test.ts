/** What the world does to a cluster: strangers on its ports, readers that stop, flipped bits, full disks. */
import { execFile } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { begin, program, run as runProgram, until } from './command-line.test-support.ts';
import { noise } from './tree.test-support.ts';

const mebi = 1024 * 1024;
const shell = promisify(execFile);
let scratch: string;
let cluster: LocalCluster;
let clients: CairnClient[] = [];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-damage-'));
  cluster = await LocalCluster.start({ program, chunkservers: 4 });
}, 90_000);
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
});
afterAll(async () => {
  await cluster?.stop();
  rmSync(scratch, { recursive: true, force: true });
}, 30_000);

async function connect(to = cluster): Promise<CairnClient> {
  const client = await CairnClient.start(nodeEnv({ dir: scratch }), parseClusterUrl(to.url), { deadlineMs: 30_000 });
  clients.push(client);
  return client;
}

const run = (...args: string[]) => runProgram(args, { cwd: scratch, env: { CAIRN_CLUSTER: cluster.url } });

/** Flips one bit of a file in place. */
function flip(path: string, offset: number): void {
  const fd = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    expect(readSync(fd, byte, 0, 1, offset)).toBe(1);
    byte[0]! ^= 0x10;
    writeSync(fd, byte, 0, 1, offset);
  } finally {
    closeSync(fd);
  }
}

/** Sends `bytes` to a port, and waits until the other side has closed, or for a moment. */
function send(port: number, bytes: Uint8Array, end: boolean): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: '127.0.0.1', port }, () => (end ? socket.end(bytes) : socket.write(bytes)));
    socket.setTimeout(300, () => socket.destroy());
    socket.on('error', () => undefined); // being thrown out is what should happen
    socket.once('close', () => resolve());
    socket.resume();
  });
}

/** What a client of ours says first, byte for byte: caught by a listener of this test. */
async function realPreface(): Promise<Buffer> {
  const { createServer } = await import('node:net');
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.once('data', (bytes) => {
        socket.destroy();
        server.close();
        resolve(bytes);
      });
    });
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      const attempt = CairnClient.start(nodeEnv({ dir: scratch }), parseClusterUrl(`cairn://127.0.0.1:${port}`), {
        deadlineMs: 500,
      });
      attempt.then(
        () => reject(new Error('a deaf listener passed for a cluster')),
        () => undefined,
      );
    });
  });
}

describe('strangers', () => {
  it('who send garbage, halves of frames and oversize heads to every port disturb nobody', {
    timeout: 60_000,
  }, async () => {
    const first = await realPreface();
    const garbage = [
      noise(7, 100_000),
      new Uint8Array(64 * 1024),
      new Uint8Array(4096).fill(0xff),
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      first.subarray(0, first.length >> 1), // half of what is right
      Buffer.concat([first, noise(8, 50_000)]), // right, then garbage
      Buffer.concat([first, new Uint8Array(16).fill(0xff), noise(9, 1000)]), // right, then lengths beyond all bounds
      Buffer.concat([first.subarray(0, -1), new Uint8Array([first.at(-1)! ^ 1])]), // one bit off
    ];
    const pids = cluster.processes.map(({ pid }) => pid);
    writeFileSync(join(scratch, 'meanwhile'), noise(10, 64 * mebi));
    const putting = begin(['put', 'meanwhile', '/meanwhile'], { cwd: scratch, env: { CAIRN_CLUSTER: cluster.url } });
    const ports = [0, 1, 2, 10, 11, 12, 13].map((offset) => cluster.portBase + offset);
    for (const bytes of garbage)
      await Promise.all(ports.flatMap((port) => [send(port, bytes, false), send(port, bytes, true)]));
    expect(await putting.ended).toMatchObject({ code: 0, stderr: '' });
    expect((await run('get', '/meanwhile', 'meanwhile-again')).code).toBe(0);
    expect(readFileSync(join(scratch, 'meanwhile-again')).equals(readFileSync(join(scratch, 'meanwhile')))).toBe(true);
    expect(cluster.processes.map(({ pid }) => pid)).toEqual(pids);
    for (const pid of pids) expect(() => process.kill(pid, 0)).not.toThrow();
  });

  it('who ask for much and stop reading do not keep others from their bytes', { timeout: 60_000 }, async () => {
    const idle = await Promise.all(Array.from({ length: 4 }, () => connect()));
    const streams = idle.flatMap((client) => Array.from({ length: 4 }, () => client.readStream('/meanwhile')));
    for (const stream of streams) expect((await stream.next()).done).toBe(false); // and never again
    const cat = begin(['cat', '/meanwhile'], { env: { CAIRN_CLUSTER: cluster.url } });
    cat.child.stdout!.pause(); // one whose process is stuck in its write, too
    const busy = await connect();
    for (let round = 0; round < 5; round++) {
      const bytes = noise(20 + round, 8 * mebi);
      await busy.writeFile(`/busy-${round}`, bytes);
      expect(Buffer.compare(await busy.readFile(`/busy-${round}`), bytes)).toBe(0);
    }
    cat.child.stdout!.resume();
    const { code, stdout } = await cat.ended;
    expect([code, stdout.length > 0]).toEqual([0, true]);
    for (const stream of streams) await stream.return();
  });
});

describe('a flipped bit', () => {
  it('in a chunk file is read around, and the replica is replaced', { timeout: 90_000 }, async () => {
    const client = await connect();
    const bytes = noise(30, 4 * mebi);
    await client.writeFile('/flipped', bytes);
    const flipped = chunkFilesHolding(bytes.subarray(0, 4096));
    expect(flipped.length).toBe(3);
    const [{ path, offset }] = flipped as [{ path: string; offset: number }];
    flip(path, offset + 2 * mebi + 5);
    await until('the damage is found, and the file read right meanwhile', async () => {
      const reader = await connect(); // each client keeps to a replica of its own choice
      expect(Buffer.compare(await reader.readFile('/flipped'), bytes)).toBe(0);
      await reader.close();
      return eventsOf('chunkserver').some((line) => /damage|bad.?block|corrupt/i.test(line));
    });
    await until('all copies are whole again', async () => {
      expect(Buffer.compare(await client.readFile('/flipped'), bytes)).toBe(0);
      const { underReplicatedChunks, lostChunks } = await client.status();
      const whole = chunkFilesHolding(bytes.subarray(2 * mebi, 2 * mebi + 4096));
      return underReplicatedChunks === 0 && lostChunks === 0 && whole.length >= 3;
    });
  });

  it("in the middle of a master's log makes it join anew and fetch everything from its peers; the damaged log is kept", {
    timeout: 90_000,
  }, async () => {
    const client = await connect();
    for (let i = 0; i < 50; i++) await client.mkdir(`/log-${i}`);
    const { leader } = await client.status();
    const victim = [1, 2, 3].find((id) => id !== leader)!;
    const data = join(cluster.dir, `master-${victim}/data`);
    const segment = firstSegment(data);
    flip(segment, usedBytes(segment) >> 1);
    const damaged = readFileSync(segment);
    await cluster.killHard('master', victim);
    await until('it votes again, under another incarnation', async () => {
      const found = (await client.status()).masters.find(({ id }) => id === victim)!;
      return found.incarnation === 1 && found.standing === 'voter' && found.lag === 0;
    });
    const said = eventsOf('master', victim).find((line) => line.includes('"log_damaged"'))!;
    expect(said).toContain(basename(segment));
    expect(said).toMatch(/offset \d+/);
    const kept = readdirSync(data).find((name) => /^damaged-\d{8}T\d{6}Z$/.test(name))!;
    expect(readFileSync(join(data, kept, 'log', basename(segment))).equals(damaged)).toBe(true);
    await client.mkdir('/goes-on');
    // It has everything: it can lead.
    await client.masters.transferLeadership(victim);
    expect((await client.status()).leader).toBe(victim);
    expect((await client.stat('/log-49')).kind).toBe('directory');
  });

  it('in the log of the only master keeps it from starting, with file and offset, and why nobody can repair it', {
    timeout: 60_000,
  }, async () => {
    const alone = await LocalCluster.start({ program, masters: 1, chunkservers: 1 });
    try {
      const client = await connect(alone);
      for (let i = 0; i < 50; i++) await client.mkdir(`/log-${i}`);
      const segment = firstSegment(join(alone.dir, 'master-1/data'));
      flip(segment, usedBytes(segment) >> 1);
      const damaged = readFileSync(segment);
      await alone.killHard('master', 1);
      const events = () => readFileSync(join(alone.dir, 'master-1/events.log'), 'utf8').split('\n');
      const refusals = () => events().filter((line) => line.includes('[LOG_CORRUPT]'));
      await until('it refuses to start', () => refusals().length > 0);
      expect(refusals()[0]).toContain(basename(segment));
      expect(refusals()[0]).toMatch(/offset \d+.*cannot be repaired from the other masters now: there is no other/);
      await until('it was tried again', () => refusals().length >= 2);
      expect(refusals().length).toBeLessThan(12); // with growing pauses, not in a hot loop
      expect(readFileSync(segment).equals(damaged)).toBe(true);
    } finally {
      await alone.stop();
    }
  });

  it("in nobody's log, but a disk replaced by an empty one: the master joins anew by itself", {
    timeout: 60_000,
  }, async () => {
    const client = await connect();
    const { leader, masters } = await client.status();
    const victim = leader!;
    const before = masters.find(({ id }) => id === victim)!.incarnation;
    rmSync(join(cluster.dir, `master-${victim}/data`), { recursive: true });
    await cluster.killHard('master', victim);
    await until('it votes again', async () => {
      const found = (await client.status()).masters.find(({ id }) => id === victim);
      return found?.incarnation === before + 1 && found.standing === 'voter';
    });
    expect((await client.stat('/log-49')).kind).toBe('directory');
  });
});

/** The oldest segment of a master's log. */
function firstSegment(data: string): string {
  const log = join(data, 'log');
  return readdirSync(log)
    .filter((name) => name.endsWith('.wal'))
    .sort()
    .map((name) => join(log, name))[0]!;
}

function usedBytes(path: string): number {
  const content = readFileSync(path);
  return content.length - trailingZeros(content);
}

describe('a full disk', () => {
  const isRoot = process.getuid?.() === 0;
  it.skipIf(!isRoot)(
    '(needs root, for a small file system) on one chunkserver moves writes to the others',
    {
      timeout: 120_000,
    },
    async () => {
      const dir = join(scratch, 'full');
      const small = join(dir, 'chunkserver-1');
      mkdirSync(small, { recursive: true });
      await shell('mount', ['-t', 'tmpfs', '-o', 'size=192m', 'tmpfs', small]);
      let other: LocalCluster | undefined;
      try {
        other = await LocalCluster.start({ program, dir, chunkservers: 4 });
        const client = await connect(other);
        const written = new Map<string, Uint8Array>();
        for (let i = 0; i < 12; i++) {
          const bytes = noise(100 + i, 24 * mebi);
          await client.writeFile(`/f${i}`, bytes);
          written.set(`/f${i}`, bytes);
        }
        for (const [path, bytes] of written) expect(Buffer.compare(await client.readFile(path), bytes), path).toBe(0);
        const { servers } = await client.status();
        expect(servers.find(({ id }) => Number(id) === 1)!.freeBytes).toBeLessThan(128 * mebi);
        expect(servers.filter(({ state }) => state === 'healthy').length).toBeGreaterThanOrEqual(3);
      } finally {
        await other?.stop();
        await shell('umount', [small]);
      }
    },
  );
});

/** Chunk files that hold these bytes, and where. */
function chunkFilesHolding(bytes: Uint8Array): { path: string; offset: number }[] {
  const found: { path: string; offset: number }[] = [];
  for (const { id } of cluster.processes.filter(({ role }) => role === 'chunkserver')) {
    const chunks = join(cluster.dir, `chunkserver-${id}/data/store/chunks`);
    for (const name of readdirSync(chunks, { recursive: true }) as string[]) {
      const path = join(chunks, name);
      const offset = contentOf(path)?.indexOf(bytes) ?? -1;
      if (offset >= 0) found.push({ path, offset });
    }
  }
  return found;
}

/** Undefined if it is no file, or gone by now. */
function contentOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'EISDIR' && code !== 'ENOENT') throw cause;
    return undefined;
  }
}

function eventsOf(role: 'master' | 'chunkserver', only?: number): string[] {
  return cluster.processes
    .filter((found) => found.role === role && (only === undefined || found.id === only))
    .flatMap(({ id }) => readFileSync(join(cluster.dir, `${role}-${id}/events.log`), 'utf8').split('\n'));
}

function trailingZeros(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.length - end;
}
