import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Change, DurableMap, Pair } from '../../system/storage/ordered-store.ts';
import { openLmdbMap } from './lmdb.ts';

let directory = '';
const open: DurableMap[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cairn-lmdb-'));
});
afterEach(async () => {
  for (const map of open.splice(0)) await map.close();
  await rm(directory, { recursive: true });
});

async function opened(name = 'map'): Promise<DurableMap> {
  const map = await openLmdbMap(join(directory, name));
  open.push(map);
  return map;
}

async function reopened(map: DurableMap, name = 'map'): Promise<DurableMap> {
  open.splice(open.indexOf(map), 1);
  await map.close();
  return opened(name);
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
function entries(pairs: Iterable<Pair>): [string, string][] {
  return [...pairs].map(([key, value]) => [key, String.fromCharCode(...value)]);
}
function all(map: Pick<DurableMap, 'scan'>): [string, string][] {
  return entries(map.scan('', '\xff\xff\xff\xff'));
}
function many(count: number, value: string): Change[] {
  return Array.from(
    { length: count },
    (_, i) => [`key ${String(i).padStart(7, '0')}`, bytes(`${value} ${i}`)] as const,
  );
}
async function* batchesOf(...batches: Pair[][]): AsyncIterable<readonly Pair[]> {
  yield* batches;
}

const key = fc
  .string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 4,
  })
  .filter((text) => text !== '');

describe('the map on LMDB', () => {
  test('holds, in byte order, what was committed, also after it was opened again', async () => {
    let map = await opened();
    const model = new Map<string, string>();
    const change = fc.tuple(key, fc.option(fc.string({ maxLength: 20 }), { nil: undefined, freq: 3 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 30 }), key, key, async (changes, from, to) => {
        const unique = [...new Map(changes)].sort(([a], [b]) => (a < b ? -1 : 1));
        await map.commit(unique.map(([k, v]) => [k, v === undefined ? undefined : bytes(v)] as const));
        for (const [k, v] of unique) {
          if (v === undefined) model.delete(k);
          else model.set(k, v);
          expect(map.get(k)).toEqual(v === undefined ? undefined : bytes(v));
        }
        const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(entries(map.scan(from, to))).toEqual(sorted.filter(([k]) => k >= from && k < to));
        expect(all(map)).toEqual(sorted.filter(([k]) => k < '\xff\xff\xff\xff'));
      }),
      { numRuns: 60 },
    );
    map = await reopened(map);
    expect(all(map).length).toBe([...model.keys()].filter((k) => k < '\xff\xff\xff\xff').length);
  });

  test('gives values that later reads and commits do not change', async () => {
    const map = await opened();
    await map.commit([
      ['a', bytes('first')],
      ['b', bytes('x'.repeat(300_000))],
    ]);
    const a = map.get('a')!;
    const b = map.get('b')!;
    const scanned = [...map.scan('a', 'c')];
    await map.commit([
      ['a', bytes('second')],
      ['b', bytes('y'.repeat(300_000))],
    ]);
    map.get('a');
    map.get('b');
    expect(a).toEqual(bytes('first'));
    expect(Buffer.from(b).equals(bytes('x'.repeat(300_000)))).toBe(true);
    expect(scanned.map(([k, value]) => [k, value.length])).toEqual([
      ['a', 5],
      ['b', 300_000],
    ]);
    expect(a).not.toBeInstanceOf(Buffer);
  });

  test('a frozen view stays as it was, through commits that are under way and through a replacement', async () => {
    const map = await opened();
    await map.commit(many(20_000, 'old'));
    const frozen = map.freeze();
    const committing = map.commit(many(20_000, 'new'));
    const during: unknown[] = [];
    let done = false;
    void committing.then(() => {
      done = true;
    });
    while (!done) {
      await new Promise((resolve) => setImmediate(resolve));
      during.push(frozen.get('key 0000000'), [...frozen.scan('key 0019999', 'l')][0]?.[1]);
    }
    await committing;
    expect(during.length).toBeGreaterThan(6);
    expect(new Set(during.map((value) => String.fromCharCode(...(value as Uint8Array)).slice(0, 3)))).toEqual(
      new Set(['old']),
    );
    expect(map.get('key 0000000')).toEqual(bytes('new 0'));
    await map.replace(batchesOf([['only', bytes('one')]]));
    expect(all(frozen).length).toBe(20_000);
    expect(all(map)).toEqual([['only', 'one']]);
    frozen.close();
  });

  test('a frozen view may be closed after the map itself', async () => {
    const map = await openLmdbMap(join(directory, 'map'));
    await map.commit(many(10, 'old'));
    const frozen = map.freeze();
    await new Promise((resolve) => setImmediate(resolve)); // the view is one of the past by then
    await map.commit(many(10, 'new'));
    await map.close();
    expect(() => frozen.close()).not.toThrow();
  });

  test('a copy of its file taken at any moment of a commit holds the state before it, or wholly after it', async () => {
    const map = await opened();
    await map.commit(many(10_000, 'old'));
    let done = false;
    const committing = map.commit(many(10_000, 'new')).then(() => {
      done = true;
    });
    const file = join(directory, 'map', 'map-00000001.mdb');
    for (let i = 0; i < 8; i++) {
      const wasDone = done;
      const copy = join(directory, `copy-${i}`);
      await mkdir(copy);
      await copyFile(file, join(copy, 'map-00000001.mdb'));
      const found = await opened(`copy-${i}`);
      const values = new Set(all(found).map(([, value]) => value.slice(0, 3)));
      expect(values.size).toBe(1);
      if (wasDone) expect(values).toEqual(new Set(['new']));
    }
    await committing;
  });

  test('a commit whose source fails in the middle changes nothing', async () => {
    const map = await opened();
    await map.commit([['a', bytes('1')]]);
    function* broken(): Iterable<Change> {
      yield* many(10_000, 'x');
      throw new Error('no more');
    }
    await expect(map.commit(broken())).rejects.toThrow(/no more/);
    expect(all(map)).toEqual([['a', '1']]);
    await map.commit([['b', bytes('2')]]);
    expect(all(await reopened(map))).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
  });

  test('a replacement that fails leaves the old content, one that is done leaves no old file', async () => {
    let map = await opened();
    await map.commit(many(100, 'old'));
    async function* broken(): AsyncIterable<readonly Pair[]> {
      yield [['x', bytes('9')]];
      throw new Error('the peer is gone');
    }
    await expect(map.replace(broken())).rejects.toThrow(/the peer is gone/);
    expect(all(map).length).toBe(100);
    expect((await readdir(join(directory, 'map'))).sort()).toEqual(['map-00000001.mdb', 'map-00000001.mdb-lock']);
    await map.replace(batchesOf([['a', bytes('1')]], [], [['b', bytes('2')]]));
    const expected = [
      ['a', '1'],
      ['b', '2'],
    ];
    expect(all(map)).toEqual(expected);
    open.splice(open.indexOf(map), 1);
    await map.close();
    expect((await readdir(join(directory, 'map'))).sort()).toEqual(['map-00000002.mdb', 'map-00000002.mdb-lock']);
    map = await opened();
    expect(all(map)).toEqual(expected);
  });

  test('nobody reads what replaces it before the replacement is done: who keeps more in memory would mix the two', async () => {
    const map = await opened();
    await map.commit([['a', bytes('old')]]);
    let isDone = false;
    const replaced = map.replace(batchesOf([['a', bytes('new')]])).then(() => {
      isDone = true;
    });
    const read: string[] = [];
    while (!isDone) {
      read.push(String.fromCharCode(...map.get('a')!));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await replaced;
    expect(new Set(read)).toEqual(new Set(['old']));
    expect(all(map)).toEqual([['a', 'new']]);
  });

  test('a replacement is done though the file before it cannot be removed', async () => {
    const map = await opened();
    await map.commit([['a', bytes('1')]]);
    const lock = join(directory, 'map', 'map-00000001.mdb-lock');
    await rm(lock);
    await mkdir(join(lock, 'in the way'), { recursive: true });
    await map.replace(batchesOf([['b', bytes('2')]]));
    await map.commit([['c', bytes('3')]]);
    expect(all(map)).toEqual([
      ['b', '2'],
      ['c', '3'],
    ]);
    await rm(lock, { recursive: true });
    expect(all(await reopened(map)).map(([key]) => key)).toEqual(['b', 'c']);
  });

  test('a replacement that fails when it may count already lets nothing more in until the map is opened again', async () => {
    let map = await opened();
    await map.commit([['a', bytes('1')]]);
    // Something stands in the place of the next generation that a rename cannot replace.
    await mkdir(join(directory, 'map', 'map-00000002.mdb'));
    await expect(map.replace(batchesOf([['b', bytes('2')]]))).rejects.toMatchObject({ name: 'CairnError' });
    await expect(map.commit([['c', bytes('3')]])).rejects.toMatchObject({ name: 'CairnError' });
    expect(all(map)).toEqual([['a', '1']]);
    await rm(join(directory, 'map', 'map-00000002.mdb'), { recursive: true });
    map = await reopened(map);
    await map.commit([['c', bytes('3')]]);
    expect(all(map).length).toBe(2);
  });

  test('what a crash left of a replacement is cleared away: the highest whole generation counts', async () => {
    let map = await opened();
    await map.replace(batchesOf([['a', bytes('1')]]));
    await writeFile(join(directory, 'map', 'map-00000001.mdb'), 'left behind');
    await writeFile(join(directory, 'map', 'loading.mdb'), 'half');
    map = await reopened(map);
    expect(all(map)).toEqual([['a', '1']]);
    expect((await readdir(join(directory, 'map'))).sort()).toEqual(['map-00000002.mdb', 'map-00000002.mdb-lock']);
  });

  test('a large commit lets other work run every few milliseconds', async () => {
    const map = await opened();
    const changes = many(40_000, 'value');
    let turns = 0;
    let done = false;
    const committing = map.commit(changes).then(() => {
      done = true;
    });
    while (!done) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    await committing;
    expect(turns).toBeGreaterThan(8);
  });

  test('a disk without room for the first file, or for a lock file, is DISK_FULL; a map that has both is opened', async ({
    skip,
  }) => {
    const small = join(directory, 'small');
    await mkdir(small);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]).status !== 0)
      skip('mounting a small file system needs root');
    try {
      const fill = async (free: number): Promise<void> => {
        const { bavail, bsize } = await statfs(small);
        await writeFile(join(small, 'filler'), Buffer.alloc(bavail * bsize - free));
      };
      await fill(8192);
      await expect(openLmdbMap(join(small, 'map'))).rejects.toMatchObject({ code: 'DISK_FULL' });
      await rm(join(small, 'filler'));
      let map = await openLmdbMap(join(small, 'map'));
      await map.commit([['key', bytes('value')]]);
      await map.close();
      await fill(8192);
      map = await openLmdbMap(join(small, 'map'));
      expect(all(map)).toEqual([['key', 'value']]);
      await map.close();
      for (const name of await readdir(join(small, 'map')))
        if (name.endsWith('-lock')) await rm(join(small, 'map', name));
      await expect(openLmdbMap(join(small, 'map'))).rejects.toMatchObject({ code: 'DISK_FULL' });
    } finally {
      spawnSync('umount', [small]);
    }
  });

  test('a file that is no map is refused', async () => {
    const map = await opened();
    await map.commit(many(10, 'x'));
    open.splice(open.indexOf(map), 1);
    await map.close();
    await writeFile(join(directory, 'map', 'map-00000001.mdb'), new Uint8Array(16_384).fill(7));
    await expect(openLmdbMap(join(directory, 'map'))).rejects.toMatchObject({ code: 'DISK_CORRUPT' });
  });
});
