/** Verbs that move bytes, against a cluster that a test may interfere with. */
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CairnError } from '../../../core/base/errors.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { FakeCluster, sample } from '../../../system/client/fake-cluster.test-support.ts';
import { Cairn } from '../../library/client.ts';
import { run as append } from './append.ts';
import { run as du } from './du.ts';
import { run as find } from './find.ts';
import { run as get } from './get.ts';
import { run as ls } from './ls.ts';
import { run as put } from './put.ts';
import { run as tail } from './tail.ts';

const linking = vi.hoisted(() => ({ before: (_from: string): void => undefined }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const link: typeof real.link = async (from, to) => {
    linking.before(String(from));
    return real.link(from, to);
  };
  return { ...real, link };
});

const kibi = 1024;
const mebi = 1024 * kibi;

let cluster: FakeCluster;
let scratch: string;
const place = (name: string) => join(scratch, name);

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-verbs-'));
  cluster = await FakeCluster.startOn(nodeEnv({ dir: scratch }));
});
afterEach(async () => {
  linking.before = () => undefined;
  await cluster.stop();
  rmSync(scratch, { recursive: true });
});

const invocation = (args: readonly string[], options: object = {}, deadlineMs = 5000) => ({
  args,
  options: options as Record<string, unknown>,
  cluster: `cairn://${cluster.master.address}`,
  deadlineMs,
  json: false,
});

async function withCairn(work: (cairn: Cairn) => Promise<void>): Promise<void> {
  const cairn = await Cairn.connect(`cairn://${cluster.master.address}`);
  try {
    await work(cairn);
  } finally {
    await cairn.close();
  }
}

const nobody = 65_534;

/** As a user whom modes bind, which root is not; `scratch` is that user's. */
async function asAnyone(work: () => Promise<void>): Promise<void> {
  if (process.getuid!() !== 0) return work();
  for (const path of ['.', ...readdirSync(scratch)]) chownSync(place(path), nobody, nobody);
  process.seteuid!(nobody);
  try {
    await work();
  } finally {
    process.seteuid!(0);
  }
}

describe('append', () => {
  test('of a file for which one call has not time enough makes progress to its end', async () => {
    const bytes = sample(12 * mebi);
    writeFileSync(place('large'), bytes);
    cluster.master.chunkBytes = mebi;
    for (const server of cluster.servers) server.mutateMs = 100;
    await append(invocation(['/log', place('large')], {}, 2000));
    expect(Buffer.from(cluster.content('/log')).equals(bytes)).toBe(true);
  });
});

describe('tail', () => {
  test('of a file that is cut meanwhile tells its lines, and where they are, from the beginning on', async () => {
    let told = '';
    const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      told += String(text);
      return true;
    });
    const until = async (text: string) => vi.waitUntil(() => told.includes(text), { timeout: 5000, interval: 5 });
    await withCairn(async (cairn) => {
      await cairn.writeFile('/log', 'one\ntwo\nunfinished');
      const options = { follow: true, number: 10 };
      const tailing = tail({ ...invocation(['/log'], options, 300), json: true }).catch(({ code }: CairnError) => code);
      await until('two');
      await cairn.truncate('/log', 4);
      await cairn.recordAppend('/log', Buffer.from('new\n'));
      await until('new');
      for (const server of cluster.servers)
        server.beforeGrowth = () => Promise.reject(new CairnError('UNAVAILABLE', 'it has been told enough'));
      await cairn.recordAppend('/log', Buffer.from('last\n'));
      expect(await tailing).toBe('UNAVAILABLE');
    });
    stdout.mockRestore();
    const lines = told
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { position: number; text: string });
    expect(lines.map(({ position, text }) => `${position} ${text}`)).toEqual([
      '0 one',
      '4 two',
      '8 unfinished',
      '0 one',
      '4 new',
      '8 last',
    ]);
  });
});

describe('put', () => {
  test('of a local file that becomes shorter meanwhile fails, and leaves nothing', async () => {
    writeFileSync(place('local'), sample(5 * mebi));
    cluster.master.chunkBytes = 4 * mebi;
    for (const server of cluster.servers)
      server.beforeMutate = () => {
        truncateSync(place('local'), 3 * mebi);
        return undefined;
      };
    const options = { replace: true, parallel: 8 };
    await expect(put(invocation([place('local'), '/file'], options))).rejects.toMatchObject({ code: 'LOCAL_IO' });
    expect([...cluster.master.root.children.keys()]).toEqual([]);
    await put(invocation([place('local'), '/file'], options));
    expect(Buffer.from(cluster.content('/file')).equals(sample(5 * mebi).subarray(0, 3 * mebi))).toBe(true);
  });

  test('of a stdin that cannot be read says so, and leaves nothing', async () => {
    const failing = Readable.from(
      (async function* () {
        yield Buffer.from('a beginning');
        throw Object.assign(new Error('EISDIR'), { code: 'EISDIR' });
      })(),
    );
    const stdin = vi.spyOn(process, 'stdin', 'get').mockReturnValue(failing as unknown as typeof process.stdin);
    await expect(put(invocation(['-', '/file'], { replace: true }))).rejects.toMatchObject({
      code: 'LOCAL_IO',
      message: 'cannot read stdin: it is a directory',
    });
    stdin.mockRestore();
    expect([...cluster.master.root.children.keys()]).toEqual([]);
  });
});

describe('sizes that nobody can tell', () => {
  test('are shown as what there is at least, and are neither small nor empty', async () => {
    const printed: string[] = [];
    const shown = async (verb: () => Promise<void>): Promise<string> => {
      const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
      await verb().finally(() => out.mockRestore());
      return printed.splice(0).join('');
    };
    await withCairn(async (cairn) => {
      await cairn.writeFile('/known', 'text');
      await cairn.writeFile('/open', 'text', { replication: 1 });
      cluster.master.file('/known').chunks.get(0)!.sealedLength = 4;
      cluster.primaryOf('/open').beforeLengths = () => {
        throw new CairnError('LEASE_EXPIRED', 'it does not reach the master');
      };
    });
    expect(await shown(() => ls(invocation(['/'], { long: true })))).toMatch(/^ +4 B .* known\n +≥0 B .* open\n$/);
    const [known, open] = (await shown(() => ls({ ...invocation(['/']), json: true }))).trim().split('\n');
    expect(JSON.parse(known!)).not.toHaveProperty('isSizeExact');
    expect(JSON.parse(open!)).toMatchObject({ size: 0, isSizeExact: false });
    expect(await shown(() => du(invocation(['/'])))).toMatch(/^ +≥4 B /);
    expect(await shown(() => find(invocation(['/'], { empty: true })))).toBe('');
    expect(await shown(() => find(invocation(['/'], { smaller: 5 })))).toBe('/known\n');
  });
});

describe('get', () => {
  test('of a tree tells what could not be listed, and copies the rest', async () => {
    await withCairn(async (cairn) => {
      for (const path of ['/t/a/one', '/t/b/two', '/t/c/three']) await cairn.writeFile(path, path, { parents: true });
    });
    cluster.master.before = (kind, request) => {
      if (kind === 'readdir' && (request as { path: string }).path === '/t/b')
        throw new CairnError('NOT_FOUND', 'it was removed just now');
    };
    const getting = get(invocation(['/t', place('t')], { replace: true, parallel: 8, recursive: true }));
    await expect(getting).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(readdirSync(scratch, { recursive: true }).toSorted()).toEqual([
      't',
      't/a',
      't/a/one',
      't/b',
      't/c',
      't/c/three',
    ]);
  });

  test.each([
    ['large', 20 * mebi, 9 * mebi],
    ['small', 6 * mebi, 2 * mebi + 5],
  ])('of a %s file that is cut meanwhile fails, and leaves nothing', async (_, size, cutTo) => {
    await withCairn(async (cairn) => {
      await cairn.writeFile('/file', sample(size), { chunkBytes: mebi });
      for (const server of cluster.servers)
        server.beforeRead = async ({ handle }) => {
          if (handle !== cluster.master.file('/file').chunks.get(0)?.handle) return undefined;
          server.beforeRead = () => undefined;
          await cairn.truncate('/file', cutTo);
          for (const { chunks } of cluster.servers)
            for (const cut of chunks.keys()) if (cut > cutTo / mebi + 1) chunks.delete(cut);
          return undefined;
        };
      await expect(get(invocation(['/file', place('copy')], { replace: true, parallel: 8 }))).rejects.toMatchObject({
        code: 'BUSY',
      });
      expect(readdirSync(scratch)).toEqual([]);
      await get(invocation(['/file', place('copy')], { replace: true, parallel: 8 }));
      expect(readFileSync(place('copy')).equals(sample(size).subarray(0, cutTo))).toBe(true);
    });
  });

  test.each([
    ['large', 9 * mebi],
    ['small', mebi],
  ])('of a %s file over one that its owner alone may read, and nobody write, leaves it so', async (_, size) => {
    await withCairn((cairn) => cairn.writeFile('/file', sample(size)));
    writeFileSync(place('copy'), 'old', { mode: 0o400 });
    const meanwhile: number[] = [];
    for (const server of cluster.servers)
      server.beforeRead = () => {
        for (const name of readdirSync(scratch)) meanwhile.push(statSync(place(name)).mode & 0o077);
        return undefined;
      };
    await asAnyone(async () => {
      await get(invocation(['/file', place('copy')], { replace: true, parallel: 8 }));
      expect(readFileSync(place('copy')).equals(sample(size))).toBe(true);
    });
    expect(statSync(place('copy')).mode & 0o777).toBe(0o400);
    expect(new Set(meanwhile)).toEqual(new Set([0]));
  });

  test('of a large file that the local disk refuses is not told as damage of the cluster', async () => {
    await withCairn((cairn) => cairn.writeFile('/file', sample(9 * mebi)));
    cluster.master.before = (kind) => {
      if (kind === 'locate') for (const name of readdirSync(scratch)) chmodSync(place(name), 0);
    };
    await asAnyone(() =>
      expect(get(invocation(['/file', place('copy')], { replace: true, parallel: 8 }))).rejects.toMatchObject({
        code: 'LOCAL_IO',
        message: `cannot write ${place('copy')}: permission denied`,
      }),
    );
    expect(readdirSync(scratch)).toEqual([]);
  });
});

describe('get that is to replace nothing, where the local file system has no hard links,', () => {
  const getNew = () => get(invocation(['/file', place('copy')], { replace: false, parallel: 8 }));
  const refuseLinks = (code: string, meanwhile: (unfinished: string) => void = () => undefined): void => {
    linking.before = (unfinished) => {
      meanwhile(unfinished);
      throw Object.assign(new Error(`${code}: link`), { code });
    };
  };

  beforeEach(() => withCairn((cairn) => cairn.writeFile('/file', 'text')));

  test.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])('copies the file (%s)', async (code) => {
    refuseLinks(code);
    await getNew();
    expect(readFileSync(place('copy'), 'utf8')).toBe('text');
    expect(readdirSync(scratch)).toEqual(['copy']);
  });

  test('leaves a file that has come there meanwhile', async () => {
    refuseLinks('EPERM', () => writeFileSync(place('copy'), 'of another'));
    await expect(getNew()).rejects.toMatchObject({
      message: `cannot write ${place('copy')}: it exists already`,
    });
    expect(readFileSync(place('copy'), 'utf8')).toBe('of another');
  });

  test('leaves nothing when it fails', async () => {
    refuseLinks('EPERM', rmSync);
    await expect(getNew()).rejects.toMatchObject({ code: 'LOCAL_IO' });
    expect(readdirSync(scratch)).toEqual([]);
  });
});
