import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { toMutationSerial } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import type { SimNode } from '../../../platform/sim/node.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import type { SimWorld } from '../../../platform/sim/world.ts';
import {
  type BadBlocksReport,
  blockBytes,
  type ChunkImage,
  type ChunkStore,
  type ChunkStoreOptions,
  GroupError,
} from '../chunk-store.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

interface Server {
  readonly world: SimWorld;
  readonly node: SimNode;
  readonly store: ChunkStore;
  readonly reports: BadBlocksReport[];
  settle<T>(promise: Promise<T>): Promise<T>;
}

async function serverOn(world: SimWorld, node: SimNode, options: Partial<ChunkStoreOptions>): Promise<Server> {
  const reports: BadBlocksReport[] = [];
  const badBlocks = (report: BadBlocksReport) => void reports.push(report);
  const store = await world.settle(openChunkStore(node.env, { ...smallOptions, badBlocks, ...options }));
  return { world, node, store, reports, settle: (promise) => world.settle(promise) };
}

function server(options: Partial<ChunkStoreOptions> = {}): Promise<Server> {
  const world = testWorld(1);
  return serverOn(world, world.node('server'), options);
}

/** The same disk after a kill. */
function restarted({ world, node }: Server, options: Partial<ChunkStoreOptions> = {}): Promise<Server> {
  node.crash();
  node.restart();
  return serverOn(world, node, options);
}

async function make({ store, settle }: Server, handle: number, content: Uint8Array): Promise<void> {
  store.create(h(handle), v(1));
  await settle(store.apply([mutation(handle, 0, content, { sync: true })]));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (thrown: unknown) => (thrown instanceof CairnError ? thrown.code : String(thrown)),
  );
}

function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect([actual.length, Buffer.compare(actual, expected)]).toEqual([expected.length, 0]);
}

function imageOf(handle: number, version: number, content: Uint8Array): ChunkImage {
  const count = Math.ceil(content.length / blockBytes);
  const sums = Array.from({ length: count }, (_, i) => crc32(content.subarray(i * blockBytes, (i + 1) * blockBytes)));
  const known = { handle: h(handle), version: v(version), serial: 1 as ChunkImage['serial'] };
  return { ...known, lengthBytes: content.length, blockChecksums: Uint32Array.from(sums), window: [] };
}

function blocksOf(content: Uint8Array, ...blocks: number[]) {
  return blocks.map((block) => ({ block, bytes: content.slice(block * blockBytes, (block + 1) * blockBytes) }));
}

const chunkPath = (handle: number) => {
  const directory = Math.floor(handle / 4096)
    .toString(16)
    .padStart(2, '0');
  return `store/chunks/${directory}/${handle.toString(16).padStart(16, '0')}`;
};

/** Of the first slab with slots of 4096 × 2^size bytes. */
const slabPath = (number: number, size = 0) => `store/slabs/${(8 * number + size).toString(16).padStart(16, '0')}`;

test('on real files: appends, bulk data and overwrites are the same after a reopening', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'cairn-chunks-'));
  try {
    const env = nodeEnv({ dir });
    const first = await openChunkStore(env, smallOptions);
    first.create(h(1), v(1));
    const expected = pattern(201_000, 1);
    const bulk = env.disk.allocate(200_000);
    bulk.set(expected.subarray(1000));
    await first.apply([mutation(1, 0, expected.slice(0, 1000))]);
    await first.apply([mutation(1, 1000, bulk, { sync: true })]);
    await first.apply([mutation(1, 500, pattern(70_000, 3))]);
    expected.set(pattern(70_000, 3), 500);
    expectBytes(await contentOf(first, 1), expected);
    await first.close();
    const second = await openChunkStore(env, smallOptions);
    expectBytes(await contentOf(second, 1), expected);
    const into = env.disk.allocate(4 * blockBytes);
    const [bytes] = await second.read(h(1), 60_000, 140_000, into);
    expectBytes(bytes!, expected.subarray(60_000, 200_000));
    expect(bytes!.buffer).toBe(into.buffer);
    expect(await second.verify(h(1))).toEqual([]);
    await second.remove(h(1));
    await second.close();
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a group of more chunks than are kept in memory changes each of them, and no second one of them comes about', async () => {
  const one = await server({ cachedChunksMax: 2 });
  for (let handle = 1; handle <= 6; handle++) await make(one, handle, pattern(100, handle));
  await one.settle(one.store.close());
  const { store, settle } = await restarted(one, { cachedChunksMax: 2 });
  const appends = store.apply([1, 2, 3, 4, 5, 6].map((handle) => mutation(handle, 100, pattern(9, 0), { serial: 2 })));
  const removal = store.remove(h(1));
  await settle(Promise.all([appends, removal]));
  expect(store.info(h(1))).toBeUndefined();
  expect(store.list(undefined, 10).map(({ handle, lengthBytes }) => [handle, lengthBytes])).toEqual(
    [2, 3, 4, 5, 6].map((handle) => [handle, 109]),
  );
});

describe('a cut', () => {
  const cut = (lengthBytes: number, serial = 9, version = 1) => ({
    handle: h(1),
    version: v(version),
    serial: serial as ChunkImage['serial'],
    lengthBytes,
    window: [{ writer: 3, sequence: serial, offset: lengthBytes, lengthBytes: 0 }],
  });

  test.each([0, 1, 65_535, 65_536, 65_537, 200_000])(
    'to %i bytes leaves those, and zeros if it grows again',
    async (length) => {
      const one = await server();
      const content = pattern(200_000, 1);
      await make(one, 1, content);
      await one.settle(one.store.cut(cut(length)));
      expect(one.store.info(h(1))).toMatchObject({ lengthBytes: length, serial: 9 });
      expectBytes(await one.settle(contentOf(one.store, 1)), content.subarray(0, length));
      await one.settle(one.store.apply([mutation(1, length + 50_000, pattern(9, 2), { serial: 10 })]));
      const grown = new Uint8Array(length + 50_009);
      grown.set(content.subarray(0, length));
      grown.set(pattern(9, 2), length + 50_000);
      expectBytes(await one.settle(contentOf(one.store, 1)), grown);
      const { store, settle } = await restarted(one);
      expectBytes(await settle(contentOf(store, 1)), grown);
      expect(store.windowOf(h(1))).toEqual([{ writer: 3, sequence: 9, offset: length, lengthBytes: 0 }]);
    },
  );

  test('takes its place among the changes that were called before and after it', async () => {
    const { store, settle } = await server();
    store.create(h(1), v(1));
    const calls = [
      store.apply([mutation(1, 0, pattern(100_000, 1), { serial: 1 })]),
      store.cut(cut(70_000, 2)),
      store.apply([mutation(1, 70_000, pattern(5000, 2), { serial: 3 })]),
      store.cut(cut(71_000, 4)),
      store.apply([mutation(1, 10, pattern(10, 3), { serial: 5 })]),
    ];
    await settle(Promise.all(calls));
    const expected = pattern(100_000, 1).slice(0, 71_000);
    expected.set(pattern(1000, 2), 70_000);
    expected.set(pattern(10, 3), 10);
    expectBytes(await settle(contentOf(store, 1)), expected);
    expect(store.usedBytes).toBe(71_000);
  });

  test('of an older version is refused; into a block that is bad it fails, and fences the chunk', async () => {
    const one = await server();
    await make(one, 1, pattern(200_000, 1));
    await one.settle(one.store.apply([mutation(1, 200_000, pattern(9, 2), { version: 3, serial: 1 })]));
    expect(await one.settle(codeOf(one.store.cut(cut(100, 2, 2))))).toBe('STALE_VERSION');
    const file = one.node.env.disk.openNow(chunkPath(1), 'write');
    file.writeNow(70_000, [pattern(9, 3)]);
    expect(await one.settle(codeOf(one.store.cut(cut(100_000, 2, 3))))).toBe('DISK_CORRUPT');
    expect(await one.settle(codeOf(one.store.cut(cut(0, 3, 3))))).toBe('DISK_CORRUPT');
    expect(one.store.info(h(1))!.lengthBytes).toBe(200_009);
  });
});

describe('mutations', () => {
  test('that follow each other without waiting are applied in the order of their calls', async () => {
    const { store, settle } = await server();
    store.create(h(1), v(1));
    const expected = pattern(300_000, 1);
    const calls: Promise<void>[] = [];
    for (let at = 0; at < expected.length; ) {
      const bytes = Math.min(expected.length - at, at % 3 === 0 ? 100_000 : 7_001);
      calls.push(store.apply([mutation(1, at, expected.slice(at, at + bytes))]));
      at += bytes;
    }
    calls.push(store.apply([mutation(1, 10, pattern(100, 9))]));
    calls.push(store.apply([mutation(1, 50, pattern(100, 10))]));
    await settle(Promise.all(calls));
    expected.set(pattern(100, 9), 10);
    expected.set(pattern(100, 10), 50);
    expectBytes(await settle(contentOf(store, 1)), expected);
  });

  test('a gap and padding are zeros, also in a file that held something else', async () => {
    const one = await server();
    await make(one, 1, pattern(400_000, 1));
    await one.settle(one.store.remove(h(1)));
    one.store.create(h(2), v(1));
    await one.settle(one.store.apply([mutation(2, 100_000, pattern(100_000, 2), { lengthBytes: 300_000 })]));
    expect(one.node.disk.read(chunkPath(2)).length).toBe(400_000);
    const expected = new Uint8Array(300_000);
    expected.set(pattern(100_000, 2), 100_000);
    expectBytes(await one.settle(contentOf(one.store, 2)), expected);
    expect(await one.settle(one.store.read(h(2), 299_999, 100))).toEqual([new Uint8Array(1)]);
    expect(await one.settle(one.store.read(h(2), 300_000, 100))).toEqual([]);
  });

  test('readers see a mutation when it is acknowledged, not before', async () => {
    const { store, settle } = await server();
    store.create(h(1), v(1));
    const applied = store.apply([mutation(1, 0, pattern(10, 1), { serial: 5, sync: true })]);
    expect(store.info(h(1))).toMatchObject({ lengthBytes: 0 });
    expect(store.image(h(1))!.blockChecksums).toHaveLength(0);
    await settle(applied);
    expect(store.info(h(1))).toEqual({ handle: 1, version: 1, serial: 5, lengthBytes: 10 });
    expect(store.image(h(1))!.blockChecksums).toEqual(Uint32Array.of(crc32(pattern(10, 1))));
  });

  test('a read that overlaps overwrites gives old or new bytes of each block, and no error', async () => {
    const { store, settle, world } = await server();
    store.create(h(1), v(1));
    const contents = [1, 2, 3, 4, 5, 6].map((seed) => pattern(400_000, seed));
    await settle(store.apply([mutation(1, 0, contents[0]!)]));
    const reads: Promise<readonly Uint8Array[]>[] = [];
    let isWriting = true;
    const writes = Promise.all(contents.slice(1).map((content) => store.apply([mutation(1, 0, content)])));
    const ended = writes.then(() => {
      isWriting = false;
    });
    while (isWriting) {
      reads.push(store.read(h(1), 0, 400_000), store.read(h(1), 100_000, 200));
      await world.run(0.05);
    }
    await settle(ended);
    for (const [bytes] of await settle(Promise.all(reads))) {
      const from = bytes!.length === 200 ? 100_000 : 0;
      const step = bytes!.length === 200 ? 200 : blockBytes;
      for (let at = 0; at < bytes!.length; at += step) {
        const piece = bytes!.subarray(at, at + step);
        const isOne = contents.some(
          (content) => Buffer.compare(content.subarray(from + at, from + at + piece.length), piece) === 0,
        );
        expect(isOne).toBe(true);
      }
    }
    expect(reads.length).toBeGreaterThan(20);
  });

  test('a read that overlaps a cut gives what was before it, or what comes after it, and nothing of both', async () => {
    const { store, settle, node } = await server();
    const before = pattern(400_000, 1);
    const more = pattern(200_000, 2);
    const after = Buffer.concat([before.subarray(0, 100), more]);
    store.create(h(1), v(1));
    await settle(store.apply([mutation(1, 0, before)]));
    node.disk.slowness = 1000;
    const read = store.read(h(1), 0, 400_000);
    node.disk.healSpeed();
    const cut = store.cut({ ...mutation(1, 0, []), serial: toMutationSerial(2), lengthBytes: 100 });
    await settle(Promise.all([cut, store.apply([mutation(1, 100, more, { serial: 3 })])]));
    const bytes = Buffer.concat(await settle(read));
    expect(bytes.equals(before) || bytes.equals(after.subarray(0, bytes.length))).toBe(true);
  });

  test('a read that overlaps one overwrite after another says what is bad all the same', async () => {
    const { store, settle, node, world, reports } = await server();
    const { openNow } = node.env.disk;
    let written = 0;
    node.env.disk.openNow = (path, mode) => {
      const file = openNow.call(node.env.disk, path, mode);
      const { read } = file;
      file.read = async (offset, into) => {
        const before = written;
        const got = await read.call(file, offset, into);
        while (written < before + 2) await new Promise<void>((go) => node.env.clock.after(1, go));
        return got;
      };
      return file;
    };
    store.create(h(1), v(1));
    await settle(store.apply([mutation(1, 0, pattern(5 * blockBytes, 1))]));
    node.disk.flipBit(chunkPath(1), blockBytes + 5);
    let isOver = false;
    const writes = (async () => {
      for (let serial = 2; !isOver; serial++) {
        await store.apply([mutation(1, 3 * blockBytes, pattern(blockBytes, serial), { serial })]);
        written += 1;
      }
    })();
    const read = codeOf(store.read(h(1), 0, 4 * blockBytes));
    const ended = read.then(() => {
      isOver = true;
    });
    await world.runUntil(() => isOver || written > 200);
    expect(written).toBeLessThanOrEqual(200);
    await settle(Promise.all([ended, writes]));
    expect(await read).toBe('DISK_CORRUPT');
    expect(reports).toEqual([{ handle: 1, blocks: [1] }]);
  });

  test('a read that overlaps one cut after another finds nothing bad', async () => {
    const { store, settle, node, reports } = await server();
    const { openNow } = node.env.disk;
    let release = (): void => {};
    let reads = 0;
    node.env.disk.openNow = (path, mode) => {
      const file = openNow.call(node.env.disk, path, mode);
      const { read } = file;
      file.read = async (offset, into) => {
        reads += 1;
        await new Promise<void>((go) => {
          release = go;
        });
        return read.call(file, offset, into);
      };
      return file;
    };
    store.create(h(1), v(1));
    await settle(store.apply([mutation(1, 0, pattern(400_000, 1))]));
    const read = codeOf(store.read(h(1), 0, 400_000));
    for (let round = 1; round <= 3; round++) {
      const serial = toMutationSerial(2 * round);
      await settle(store.cut({ ...mutation(1, 0, []), serial, lengthBytes: 100 }));
      await settle(store.apply([mutation(1, 100, pattern(300_000, 1 + round), { serial: serial + 1 })]));
      release();
      await settle(new Promise<void>((go) => node.env.clock.after(10, go)));
    }
    release();
    expect(await settle(read)).toBe('no error');
    expect([reads, reports]).toEqual([4, []]);
  });

  test('of a stale version, of no chunk, and the creation of one that is there, are refused', async () => {
    const { store, settle } = await server();
    store.create(h(1), v(3));
    expect(await codeOf(settle(store.apply([mutation(1, 0, pattern(1, 1), { version: 2 })])))).toBe('STALE_VERSION');
    expect(await codeOf(settle(store.apply([mutation(2, 0, pattern(1, 1))])))).toBe('CHUNK_MISSING');
    expect(await codeOf(settle(store.read(h(2), 0, 1)))).toBe('CHUNK_MISSING');
    expect(() => store.create(h(1), v(1))).toThrow(expect.objectContaining({ code: 'EXISTS' }));
    await settle(store.apply([mutation(1, 0, pattern(1, 1), { version: 3 })]));
  });

  test('of an older version behind one that is not committed yet is stale too', async () => {
    const { store, settle } = await server();
    store.create(h(1), v(1));
    const newer = store.apply([mutation(1, 0, pattern(100, 1), { version: 2, sync: true })]);
    const older = codeOf(store.apply([mutation(1, 100, pattern(100, 2), { version: 1, serial: 7 })]));
    await settle(newer);
    expect(await settle(older)).toBe('STALE_VERSION');
    expect(store.info(h(1))).toMatchObject({ version: 2, serial: 1, lengthBytes: 100 });
  });

  test('a failed write fails its own chunk of the group, and fences it until a higher version', async () => {
    const { store, settle, node } = await server();
    for (const handle of [1, 2]) store.create(h(handle), v(1));
    await settle(store.apply([mutation(1, 0, pattern(100, 1)), mutation(2, 0, pattern(100, 2))]));
    // Both are in one slab: the first write to it is that of the first chunk.
    node.disk.arm('writeError', (path) => path.includes('/slabs/'));
    const group = [mutation(1, 100, pattern(100, 3)), mutation(2, 100, pattern(100, 4), { serial: 2 })];
    const failure = await settle(store.apply(group).catch((thrown: unknown) => thrown));
    expect(failure).toBeInstanceOf(GroupError);
    expect([...(failure as GroupError).failures.keys()]).toEqual([1]);
    expect(store.info(h(1))).toMatchObject({ lengthBytes: 100, serial: 1 });
    expect(store.info(h(2))).toMatchObject({ lengthBytes: 200, serial: 2 });
    expect(await codeOf(settle(store.apply([mutation(1, 100, pattern(100, 3))])))).toBe('DISK_FAILED');
    await settle(store.apply([mutation(1, 300, pattern(50, 5), { version: 2 })]));
    const expected = Buffer.concat([pattern(100, 1), new Uint8Array(200), pattern(50, 5)]);
    expectBytes(await settle(contentOf(store, 1)), expected);
  });

  test('a move to a file of its own that failed is not gone on with when a recycled file takes the name', async () => {
    const one = await server();
    const { store, settle, node } = one;
    const content = pattern(210_000, 1);
    await make(one, 1, content.subarray(0, 10_000));
    await make(one, 2, pattern(300_000, 2));
    node.disk.arm('writeError', (path) => path === chunkPath(1));
    const append = (version: number) =>
      settle(store.apply([mutation(1, 10_000, content.subarray(10_000), { version, serial: 2, sync: true })]));
    expect(await codeOf(append(1))).toBe('DISK_FAILED');
    await settle(store.remove(h(2)));
    await append(2);
    expect(await settle(store.verify(h(1)))).toEqual([]);
    expectBytes(await settle(contentOf(store, 1)), content);
  });

  test('a full disk refuses a mutation before anything is touched, once the pool has been given back', async () => {
    const before = await server();
    await make(before, 1, pattern(300_000, 1));
    await make(before, 2, pattern(1000, 2));
    await before.settle(before.store.remove(h(1)));
    before.node.disk.capacityBytes = before.node.disk.usedBytes + 900_000;
    const one = await restarted(before, { reserveBytes: 1_000_000 });
    expect(one.node.disk.paths().some((path) => path.startsWith('store/pool/'))).toBe(true);
    const used = one.node.disk.usedBytes;
    const { freeBytes } = await one.settle(one.store.room()); // with what is kept for reuse, without the reserve
    expect(freeBytes).toBeGreaterThan(150_000);
    expect(freeBytes).toBeLessThan(400_000);
    expect(await codeOf(one.settle(one.store.apply([mutation(2, 1000, pattern(400_000, 3))])))).toBe('DISK_FULL');
    expect(one.node.disk.paths().some((path) => path.startsWith('store/pool/'))).toBe(false);
    expect(one.node.disk.usedBytes).toBeLessThan(used);
    expect(one.store.info(h(2))).toMatchObject({ lengthBytes: 1000 });
    one.node.disk.healCapacity();
    await one.settle(one.store.apply([mutation(2, 1000, pattern(1000, 3), { version: 2 })]));
  });
});

describe('a block that fails its checksum', () => {
  async function withFlippedBit(): Promise<Server> {
    const one = await server();
    await make(one, 1, pattern(200_000, 1));
    one.node.disk.flipBit(chunkPath(1), blockBytes + 5);
    return one;
  }

  test('is never served, named, reported once, and remembered', async () => {
    const { store, settle, reports } = await withFlippedBit();
    const failure = await settle(store.read(h(1), blockBytes - 1, 2).catch((thrown: unknown) => thrown));
    expect(failure).toMatchObject({ code: 'DISK_CORRUPT', message: expect.stringContaining('block 1 of chunk 1') });
    expect(await codeOf(settle(store.read(h(1), 0, 200_000)))).toBe('DISK_CORRUPT');
    expect(reports).toEqual([{ handle: 1, blocks: [1] }]);
    expect(store.badBlocksOf(h(1))).toEqual([1]);
    expectBytes((await settle(store.read(h(1), 0, blockBytes)))[0]!, pattern(200_000, 1).subarray(0, blockBytes));
  });

  test('is found by verification, and again after a restart', async () => {
    const one = await withFlippedBit();
    expect(await one.settle(one.store.verify(h(1)))).toEqual([1]);
    await one.settle(one.store.close());
    const two = await restarted(one);
    expect(two.reports).toEqual([]);
    expect(await two.settle(two.store.verify(h(1)))).toEqual([1]);
    expect(two.reports).toEqual([{ handle: 1, blocks: [1] }]);
  });

  test('is not looked for in a chunk that was made anew meanwhile: it is not lost with the one before it', async () => {
    const { store, settle, reports } = await withFlippedBit();
    const content = pattern(200_000, 4);
    let goOn = () => {};
    const held = new Promise<void>((go) => (goOn = go));
    const verified = codeOf(store.verify(h(1), () => held));
    await settle(store.remove(h(1)));
    await settle(store.adopt(imageOf(1, 2, content), blocksOf(content, 0, 1, 2, 3)));
    goOn();
    expect(await settle(verified)).toBe('CHUNK_MISSING');
    expectBytes(await settle(contentOf(store, 1)), content);
    expect(reports).toEqual([]);
  });

  test('that is written anew behind the look at it is bad no longer when all has been looked at', async () => {
    const one = await server({ chunkBytes: 4 * 1024 * 1024 });
    const { store, settle, node } = one;
    await make(one, 1, pattern(3 * 1024 * 1024, 1));
    node.disk.flipBit(chunkPath(1), 5);
    let pieces = 0;
    const verified = store.verify(h(1), async () => {
      pieces += 1;
      if (pieces < 3) return;
      await store.apply([mutation(1, 0, pattern(blockBytes, 3), { version: 2, lengthBytes: 3 * 1024 * 1024 })]);
    });
    expect(await settle(verified)).toEqual([]);
    expect(pieces).toBe(3);
    expect(store.badBlocksOf(h(1))).toEqual([]);
    expectBytes((await settle(store.read(h(1), 0, blockBytes)))[0]!, pattern(blockBytes, 3));
  });

  test('takes no write that would keep part of it, and is mended by one that keeps nothing', async () => {
    const { store, settle } = await withFlippedBit();
    expect(await codeOf(settle(store.apply([mutation(1, blockBytes + 100, pattern(10, 2))])))).toBe('DISK_CORRUPT');
    const mending = mutation(1, blockBytes, pattern(blockBytes, 3), { version: 2 });
    await settle(store.apply([mending]));
    expect(store.badBlocksOf(h(1))).toEqual([]);
    expectBytes((await settle(store.read(h(1), blockBytes, blockBytes)))[0]!, pattern(blockBytes, 3));
  });

  test('at the end of the chunk takes no append', async () => {
    const { store, settle, node } = await server();
    store.create(h(1), v(1));
    await settle(store.apply([mutation(1, 0, pattern(1000, 1))]));
    node.disk.flipBit(slabPath(1), 7);
    expect(await codeOf(settle(store.read(h(1), 0, 10)))).toBe('DISK_CORRUPT');
    expect(await codeOf(settle(store.apply([mutation(1, 1000, pattern(10, 2))])))).toBe('DISK_CORRUPT');
  });

  test('is reported by whatever finds it: an adoption, a cut, a write that keeps part of it', async () => {
    const tries: ((store: ChunkStore) => Promise<void>)[] = [
      (store) => store.adopt(imageOf(1, 2, pattern(1000, 1)), []),
      (store) => store.adopt(imageOf(1, 2, pattern(900, 1)), []),
      (store) => store.cut({ handle: h(1), version: v(1), serial: toMutationSerial(2), lengthBytes: 900, window: [] }),
      (store) => store.apply([mutation(1, 100, pattern(10, 2))]),
    ];
    for (const change of tries) {
      const { store, settle, node, reports } = await server();
      store.create(h(1), v(1));
      await settle(store.apply([mutation(1, 0, pattern(1000, 1))]));
      node.disk.flipBit(slabPath(1), 7);
      expect(await codeOf(settle(change(store)))).toBe('DISK_CORRUPT');
      expect(reports).toEqual([{ handle: 1, blocks: [0] }]);
      expect(store.badBlocksOf(h(1))).toEqual([0]);
    }
  });

  test('is mended by an adoption, which must bring it', async () => {
    const { store, settle } = await withFlippedBit();
    const content = pattern(200_000, 1);
    await settle(store.verify(h(1)));
    expect(await codeOf(settle(store.adopt(imageOf(1, 2, content), [])))).toBe('DISK_CORRUPT');
    await settle(store.adopt(imageOf(1, 2, content), blocksOf(content, 1)));
    expectBytes(await settle(contentOf(store, 1)), content);
    expect(await settle(store.verify(h(1)))).toEqual([]);
  });
});

describe('an adoption', () => {
  test('makes a chunk that is missing, also after a power loss', async () => {
    const { world, node, store, settle } = await server();
    const content = pattern(300_001, 1);
    await settle(store.adopt(imageOf(9, 4, content), blocksOf(content, 0, 1, 2, 3, 4)));
    node.crash({ loseUnsynced: true });
    node.restart();
    const two = await serverOn(world, node, {});
    expect(two.store.info(h(9))).toMatchObject({ version: 4, lengthBytes: 300_001 });
    expectBytes(await two.settle(contentOf(two.store, 9)), content);
  });

  test('or a first mutation of a chunk that is on its way out comes behind that, and keeps the file it makes', async () => {
    const before = pattern(300_000, 1);
    const after = pattern(200_000, 2);
    for (let seed = 1; seed <= 20; seed++) {
      const world = testWorld(seed);
      const one = await serverOn(world, world.node('server'), {});
      const { store } = one;
      await make(one, 1, before);
      await make(one, 2, before);
      const removed = [store.remove(h(1)), store.remove(h(2))];
      await world.runUntil(() => store.info(h(1)) === undefined && store.info(h(2)) === undefined);
      store.create(h(1), v(2));
      const made = [
        store.apply([mutation(1, 0, after, { version: 2, sync: true })]),
        store.adopt(imageOf(2, 2, after), blocksOf(after, 0, 1, 2, 3)),
      ];
      await world.settle(Promise.all([...removed, ...made]));
      for (const handle of [1, 2]) expectBytes(await world.settle(contentOf(store, handle)), after);
    }
  });

  test('cuts, extends by zeros, and replaces more blocks than one batch carries', async () => {
    const one = await server({ chunkBytes: 64 * blockBytes });
    const { store, settle } = one;
    await make(one, 1, pattern(40 * blockBytes, 1));
    const content = pattern(30 * blockBytes + 77, 2);
    const all = Array.from({ length: 31 }, (_, i) => i);
    await settle(store.adopt(imageOf(1, 2, content), blocksOf(content, ...all)));
    expectBytes(await settle(contentOf(store, 1)), content);
    const extended = new Uint8Array(50 * blockBytes);
    extended.set(content);
    await settle(store.adopt(imageOf(1, 3, extended), []));
    expectBytes(await settle(contentOf(store, 1)), extended);
    expect(store.usedBytes).toBe(50 * blockBytes);
    const two = await restarted(one, { chunkBytes: 64 * blockBytes });
    expectBytes(await two.settle(contentOf(two.store, 1)), extended);
  });

  test('that does not lead to its image is refused and changes nothing', async () => {
    const one = await server();
    const { store, settle } = one;
    const before = pattern(100_000, 1);
    await make(one, 1, before);
    const after = pattern(200_000, 2);
    const image = imageOf(1, 2, after);
    expect(await codeOf(settle(store.adopt(image, blocksOf(after, 0, 1))))).toBe('CHECKSUM_MISMATCH');
    expect(await codeOf(settle(store.adopt(image, blocksOf(before, 0))))).toBe('CHECKSUM_MISMATCH');
    expect(await codeOf(settle(store.adopt(imageOf(1, 0, after), blocksOf(after, 0, 1, 2, 3))))).toBe('STALE_VERSION');
    expect(await codeOf(settle(store.adopt(imageOf(2, 1, after), [])))).toBe('CHECKSUM_MISMATCH');
    expect(store.info(h(1))).toMatchObject({ version: 1, lengthBytes: 100_000 });
    expect(store.info(h(2))).toBeUndefined();
    expectBytes(await settle(contentOf(store, 1)), before);
  });
});

describe('start', () => {
  test('a chunk whose file is gone is taken off the books and reported; it is never invented', async () => {
    const one = await server();
    await make(one, 1, pattern(100_000, 1));
    await make(one, 2, pattern(100_000, 2));
    await one.settle(one.store.close());
    await one.settle(one.node.env.disk.remove(chunkPath(1)));
    const two = await restarted(one);
    expect(two.reports).toEqual([{ handle: 1, blocks: 'all' }]);
    expect(two.store.list(undefined, 10).map(({ handle }) => handle)).toEqual([2]);
    expect(await codeOf(two.settle(two.store.read(h(1), 0, 1)))).toBe('CHUNK_MISSING');
    two.store.create(h(1), v(7));
    await two.settle(two.store.apply([mutation(1, 0, pattern(10, 3), { version: 7 })]));
    const three = await restarted(two);
    expect(three.store.info(h(1))).toMatchObject({ version: 7, lengthBytes: 10 });
  });

  test('the file of a chunk that was cut to nothing goes with it, whether or not it is known to be there', async () => {
    const one = await server();
    await make(one, 1, pattern(300_000, 1));
    await one.settle(one.store.cut({ ...mutation(1, 0, []), serial: toMutationSerial(2), lengthBytes: 0 }));
    await one.settle(one.store.close());
    const two = await restarted(one);
    await two.settle(two.store.remove(h(1)));
    expect(two.node.disk.paths()).not.toContain(chunkPath(1));
  });

  test('a file without a chunk is recycled', async () => {
    const one = await server();
    await make(one, 1, pattern(300_000, 1));
    await one.settle(one.store.close());
    await one.settle(one.node.env.disk.rename(chunkPath(1), chunkPath(5)));
    await restarted(one);
    const paths = one.node.disk.paths();
    expect(paths.filter((path) => path.startsWith('store/chunks/'))).toEqual([]);
    expect(paths.filter((path) => path.startsWith('store/pool/'))).toHaveLength(1);
  });

  test('damage to the metadata of one chunk costs that chunk; its file is kept aside', async () => {
    const one = await server();
    for (const handle of [1, 2, 3]) await make(one, handle, pattern(70_000, handle));
    await one.settle(one.store.close());
    // In the payload of the second record: behind the header of the segment, a frame, and the header of its own.
    one.node.disk.flipBit('store/metadata/0000000000000001', 24 + (24 + 16) + 24 + 3);
    const two = await restarted(one);
    expect(two.reports).toEqual([{ handle: 2, blocks: 'all' }]);
    expect(two.store.list(undefined, 10).map(({ handle }) => handle)).toEqual([1, 3]);
    expect(one.node.disk.paths()).toContain('store/quarantine/0000000000000002');
  });

  test.each([70_000, 3000])(
    'a chunk of %i bytes of which the metadata rots is removed, and can be made anew',
    async (bytes) => {
      const one = await server();
      for (const handle of [1, 2, 3]) await make(one, handle, pattern(bytes, handle));
      await one.settle(one.store.close());
      const two = await restarted(one);
      two.node.disk.flipBit('store/metadata/0000000000000001', 24 + (24 + (bytes > 65_536 ? 16 : 12)) + 24 + 3);
      expect(await two.settle(codeOf(two.store.read(h(2), 0, 10)))).toBe('DISK_CORRUPT');
      expect(two.store.badBlocksOf(h(2))).toEqual([]); // none is known, and that is not why it cannot be used
      await two.settle(two.store.remove(h(2)));
      expect(two.store.list(undefined, 10).map(({ handle }) => handle)).toEqual([1, 3]);
      const image = { ...two.store.image(h(1))!, handle: h(2) };
      const blocks = image.blockChecksums.length;
      const parts = Array.from({ length: blocks }, (_, block) => ({
        block,
        bytes: pattern(bytes, 1).subarray(block * blockBytes, (block + 1) * blockBytes),
      }));
      await two.settle(two.store.adopt(image, parts));
      const three = await restarted(two);
      expect(three.reports).toEqual([]);
      expect(await three.settle(contentOf(three.store, 2))).toEqual(pattern(bytes, 1));
      expect(await three.settle(contentOf(three.store, 3))).toEqual(pattern(bytes, 3));
    },
  );

  test.each([
    ['a damaged frame', 24 + 5],
    ['a damaged head', 13],
  ])('%s in the metadata is refused, since nobody knows what is behind it', async (_, offset) => {
    const one = await server();
    await make(one, 1, pattern(70_000, 1));
    await one.settle(one.store.close());
    one.node.disk.flipBit('store/metadata/0000000000000001', offset);
    expect(await codeOf(restarted(one))).toBe('DISK_CORRUPT');
    expect(one.node.disk.paths()).toContain(chunkPath(1));
  });

  test('metadata of another format version is refused as such', async () => {
    const one = await server();
    await make(one, 1, pattern(1000, 1));
    await one.settle(one.store.close());
    const path = 'store/metadata/0000000000000001';
    const head = one.node.disk.read(path).slice(0, 24);
    head[8] = 1;
    new DataView(head.buffer).setUint32(20, crc32(head.subarray(0, 20)), true);
    one.node.env.disk.openNow(path, 'write').writeNow(0, [head]);
    expect(await codeOf(restarted(one))).toBe('WRONG_FORMAT');
  });

  test('metadata that has lost a segment is refused', async () => {
    const one = await server();
    await make(one, 1, pattern(1000, 1));
    await one.settle(one.store.close());
    await one.settle(one.node.env.disk.remove('store/metadata/0000000000000001'));
    expect(await codeOf(restarted(one))).toBe('DISK_CORRUPT');
  });

  test('whose first start was cut short by a loss of power opens all the same', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const world = testWorld(seed);
      const node = world.node('server');
      const { disk } = node.env;
      const { syncDirectory } = disk;
      let isSynced = false;
      disk.syncDirectory = (path) =>
        syncDirectory.call(disk, path).then(() => {
          isSynced ||= path === 'store/chunks';
        });
      void openChunkStore(node.env, smallOptions);
      await world.runUntil(() => isSynced);
      node.crash({ loseUnsynced: true });
      node.restart();
      await make(await serverOn(world, node, {}), 1, pattern(100, 1));
    }
  });

  test('after a clean close nothing is replayed', async () => {
    const events: string[] = [];
    const world = testWorld(1, { onEvent: ({ name }) => void events.push(name) });
    const one = await serverOn(world, world.node('server'), {});
    await make(one, 1, pattern(1000, 1));
    const two = await restarted(one);
    expect(events).toContain('chunk-journal-replayed');
    events.length = 0;
    await two.settle(two.store.close());
    await restarted(two);
    expect(events).not.toContain('chunk-journal-replayed');
  });
});

describe('a checkpoint', () => {
  test('that a kill came into the middle of is not built on before it lasts', async () => {
    const one = await server();
    await make(one, 1, pattern(1000, 1));
    const closing = one.store.close();
    const path = 'store/metadata/0000000000000001';
    const isWritten = () => one.node.disk.paths().includes(path) && one.node.disk.readDurable(path).length > 24;
    expect(await one.world.runUntil(isWritten)).toBe(true);
    const two = await restarted(one);
    await two.settle(two.store.apply([mutation(1, 1000, pattern(10, 2), { sync: true })]));
    await two.settle(two.store.close());
    two.node.crash({ loseUnsynced: true });
    two.node.restart();
    const three = await serverOn(two.world, two.node, {});
    expectBytes(await three.settle(contentOf(three.store, 1)), Buffer.concat([pattern(1000, 1), pattern(10, 2)]));
    // Nobody waits for what the first process had under way.
    void closing;
  });

  test('waits for overwrites that the journal has and the file does not yet', async () => {
    const options = { checkpointJournalBytes: 1000, checkpointBulkBytes: 2 ** 40 };
    const [before, after] = [pattern(400_000, 1), pattern(400_000, 2)];
    for (let ms = 40; ms < 130; ms += 3) {
      // So slow that a checkpoint could come to its end while the overwrite is being written.
      const world = testWorld(ms, { disk: { bytesPerMs: 20_000 } });
      const one = await serverOn(world, world.node('server'), options);
      await make(one, 1, before);
      await world.run(1000);
      one.store.create(h(2), v(1));
      void one.store.apply([mutation(1, 0, after, { serial: 2 })]);
      void one.store.apply([mutation(2, 0, pattern(2000, 3))]);
      await world.run(ms);
      const two = await restarted(one, options);
      const expected = two.store.info(h(1))!.serial === 2 ? after : before;
      expectBytes(await two.settle(contentOf(two.store, 1)), expected);
      await two.settle(two.store.close());
    }
  });

  test('that found no room leaves nothing that later ones trip over', async () => {
    const events: string[] = [];
    const world = testWorld(1, { onEvent: ({ name }) => void events.push(name) });
    const options = { checkpointJournalBytes: 60_000, checkpointChunks: 2 ** 40, metadataSegmentBytes: 8_000 };
    const one = await serverOn(world, world.node('server'), options);
    const { store, settle, node } = one;
    const checkpoint = async () => {
      await settle(store.apply([mutation(1, 0, pattern(60_000, 1))]));
      await world.run(200);
    };
    store.create(h(1), v(1));
    await checkpoint();
    for (let handle = 2; handle <= 500; handle++) await make(one, handle, pattern(10, handle));
    node.disk.capacityBytes = node.disk.usedBytes;
    const failures = () => events.filter((name) => name === 'chunk-checkpoint-failed').length;
    await settle(store.apply([mutation(1, 0, pattern(60_000, 1))]));
    await world.runUntil(() => failures() > 0);
    // Each attempt takes a segment of the journal; the next one comes later.
    for (let handle = 471; handle <= 500; handle++) await settle(store.remove(h(handle)));
    await world.run(200);
    expect(failures()).toBe(1);
    node.disk.healCapacity();
    for (let handle = 102; handle <= 470; handle++) await settle(store.remove(h(handle)));
    await world.run(1000);
    // The next batch is shorter than what the failed one has left; the one after goes to a new segment.
    await checkpoint();
    await checkpoint();
    const segments = node.disk.paths().filter((path) => path.startsWith('store/metadata/'));
    expect(segments).toHaveLength(2);
    const two = await restarted(one, options);
    expect(two.store.chunkCount).toBe(101);
  });
});

describe('many chunks', () => {
  test('inventories go on where the last page ended, in the order of the handles', async () => {
    const { store, settle } = await server();
    const handles = Array.from({ length: 300 }, (_, i) => ((i * 7919) % 300) + 1);
    for (const handle of handles) store.create(h(handle), v(1));
    await settle(store.remove(h(150)));
    const seen: number[] = [];
    for (;;) {
      const page = store.list(seen.length === 0 ? undefined : h(seen.at(-1)!), 7);
      if (page.length === 0) break;
      seen.push(...page.map(({ handle }) => handle));
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i + 1).filter((handle) => handle !== 150));
    expect(store.chunkCount).toBe(299);
  });

  test('outlive cleaning of the metadata log, which stays in proportion to them', async () => {
    const one = await server({ checkpointChunks: 16 });
    const { store, settle } = one;
    for (let round = 0; round < 40; round++) {
      // Checkpoints take some time.
      await one.world.run(20);
      for (let handle = 1; handle <= 20; handle++) {
        if (round === 0) store.create(h(handle), v(1));
        if (handle === 13 && round === 20) await settle(store.remove(h(13)));
        if (handle === 13 && round >= 20) continue;
        await settle(
          store.apply([mutation(handle, round * 100, pattern(100, handle * 100 + round), { serial: round + 1 })]),
        );
      }
    }
    await settle(store.close());
    const segments = one.node.disk.paths().filter((path) => path.startsWith('store/metadata/'));
    const bytes = segments.reduce((sum, path) => sum + one.node.disk.read(path).length, 0);
    expect(bytes).toBeLessThan(5 * smallOptions.metadataSegmentBytes!);
    expect(segments[0]).not.toBe('store/metadata/0000000000000001');
    const two = await restarted(one);
    expect(two.store.chunkCount).toBe(19);
    for (let handle = 1; handle <= 20; handle++) {
      if (handle === 13) continue;
      const expected = Buffer.concat(Array.from({ length: 40 }, (_, round) => pattern(100, handle * 100 + round)));
      expectBytes(await two.settle(contentOf(two.store, handle)), expected);
    }
  });
});
