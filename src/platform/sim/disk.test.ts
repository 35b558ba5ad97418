import { describe, expect, test } from 'vitest';
import type { Disk, DiskFile } from '../../core/base/env.ts';
import type { SimNode } from './node.ts';
import { testWorld } from './node-host.test-support.ts';
import type { SimWorld } from './world.ts';

/** The comparison of vitest of long byte arrays would take seconds. */
function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  const differsAt = actual.findIndex((byte, at) => byte !== expected[at]);
  expect([actual.length, differsAt]).toEqual([expected.length, -1]);
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);

async function opened(world: SimWorld, node: SimNode, path = 'f'): Promise<DiskFile> {
  return world.settle(node.env.disk.open(path, 'create'));
}

/** Makes a file with its name durable. */
async function durableFile(world: SimWorld, node: SimNode, path = 'f'): Promise<DiskFile> {
  const file = await opened(world, node, path);
  await world.settle(node.env.disk.syncDirectory(''));
  return file;
}

describe('files', () => {
  test('what was written is read, also across pages, holes and ends', async () => {
    const world = testWorld(1);
    const file = await opened(world, world.node('a'));
    await world.settle(file.write(40_000, [filled(10, 1), filled(50_000, 2)]));
    expect(file.size()).toBe(90_010);
    const into = filled(60_000, 9);
    expect(await world.settle(file.read(39_000, into))).toBe(51_010);
    expect([into[0], into[999], into[1_000], into[1_010], into[51_009]]).toEqual([0, 0, 1, 2, 2]);
    expect(file.readNow(90_010, into)).toBe(0);
    await world.settle(file.truncate(40_005));
    await world.settle(file.truncate(100_000));
    expect(file.readNow(40_000, into)).toBe(60_000);
    expect([...into.subarray(0, 6), into[59_999]]).toEqual([1, 1, 1, 1, 1, 0, 0]);
  });

  test('names: directories, renames that replace, removal, lists in order', async () => {
    const world = testWorld(1);
    const { disk } = world.node('a').env;
    await world.settle(disk.makeDirectory('x/y'));
    await world.settle(disk.makeDirectory('x/y'));
    await world.settle(disk.open('x/y/two', 'createNew'));
    await world.settle(disk.open('x/y/one', 'createNew'));
    expect(await world.settle(disk.list('x/y'))).toEqual(['one', 'two']);
    await world.settle(disk.rename('x/y/one', 'x/y/two'));
    expect(await world.settle(disk.list('x/y'))).toEqual(['two']);
    await world.settle(disk.remove('x/y/two'));
    expect(await world.settle(disk.exists('x/y/two'))).toBe(false);
    await world.settle(disk.remove('x/y'));
    expect(await world.settle(disk.list('x'))).toEqual([]);
  });

  const refusals: readonly [string, string, (disk: Disk) => Promise<unknown>][] = [
    ['open of what is missing', 'NOT_FOUND', (disk) => disk.open('no', 'write')],
    ['open below what is missing', 'NOT_FOUND', (disk) => disk.open('no/f', 'create')],
    ['a new file where one is', 'EXISTS', (disk) => disk.open('f', 'createNew')],
    ['a directory where a file is', 'EXISTS', (disk) => disk.makeDirectory('f')],
    ['removal of a directory with something in it', 'DISK_FAILED', (disk) => disk.remove('d')],
    ['removal of nothing', 'NOT_FOUND', (disk) => disk.remove('no')],
    ['open of a directory', 'DISK_FAILED', (disk) => disk.open('d', 'read')],
    ['a way out of the root', 'INVALID_ARGUMENT', (disk) => disk.open('../f', 'create')],
    ['a list of a file', 'DISK_FAILED', (disk) => disk.list('f')],
  ];

  test.each(refusals)('%s is %s', async (_, code, run) => {
    const world = testWorld(1);
    const { disk } = world.node('a').env;
    await world.settle(disk.open('f', 'create'));
    await world.settle(disk.makeDirectory('d/e'));
    await expect(world.settle(run(disk))).rejects.toMatchObject({ name: 'CairnError', code });
  });

  test('a file opened for reading takes no writes, a closed one nothing', async () => {
    const world = testWorld(1);
    const { disk } = world.node('a').env;
    await world.settle(disk.open('f', 'create'));
    const file = await world.settle(disk.open('f', 'read'));
    await expect(world.settle(file.write(0, [filled(1, 1)]))).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await world.settle(file.close());
    expect(() => file.size()).toThrow('a closed file is not used');
  });

  test('close waits for what is under way', async () => {
    const world = testWorld(1);
    const file = await opened(world, world.node('a'));
    const order: string[] = [];
    const write = file.write(0, [filled(1_000_000, 1)]).then(() => order.push('write'));
    const close = file.close().then(() => order.push('close'));
    await world.settle(Promise.all([write, close]));
    expect(order).toEqual(['write', 'close']);
  });

  test('a writer that changes its bytes too early writes what it changed', async () => {
    const world = testWorld(1);
    const file = await opened(world, world.node('a'));
    const bytes = filled(4, 1);
    const write = file.write(0, [bytes]);
    bytes.fill(2);
    await world.settle(write);
    expectBytes(world.node('a').disk.read('f'), filled(4, 2));
  });
});

describe('power loss', () => {
  /** Writes [0, 100k) durably, then over its middle and its end without a sync, and pulls the plug. */
  async function lost(seed: number): Promise<Uint8Array> {
    const world = testWorld(seed);
    const node = world.node('a');
    const file = await durableFile(world, node);
    await world.settle(file.write(0, [filled(100_000, 1)]));
    await world.settle(file.sync());
    await world.settle(file.write(30_000, [filled(40_000, 2)]));
    await world.settle(file.write(100_000, [filled(50_000, 3)]));
    node.crash({ loseUnsynced: true });
    node.restart();
    return node.disk.read('f');
  }

  test('synced bytes survive; of unsynced ones, whole sectors do or do not, as the seed says', async () => {
    const shapes = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const bytes = await lost(seed);
      expect(bytes.length).toBeGreaterThanOrEqual(100_000);
      expectBytes(bytes.subarray(0, 30_000), filled(30_000, 1));
      expectBytes(bytes.subarray(70_000, 100_000), filled(30_000, 1));
      const middle = bytes.subarray(30_000, 70_000);
      const tail = bytes.subarray(100_000);
      expect(middle.every((byte) => byte === 1 || byte === 2)).toBe(true);
      expect(tail.every((byte) => byte === 0 || byte === 3)).toBe(true);
      for (let at = 30_208; at + 512 <= 70_000; at += 512) {
        const sector = bytes.subarray(at, at + 512);
        if (!sector.every((byte) => byte === sector[0])) expect.fail(`the sector at ${at} is mixed`);
      }
      const kept = middle.filter((byte) => byte === 2).length;
      shapes.add(kept === 0 ? 'old' : kept === middle.length ? 'new' : 'mixed');
      shapes.add(tail.length === 0 ? 'no tail' : tail.every((byte) => byte === 3) ? 'tail' : 'torn tail');
    }
    expect([...shapes].sort()).toEqual(['mixed', 'new', 'no tail', 'old', 'tail', 'torn tail']);
  });

  test('a kill -9 loses nothing that was written', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const file = await opened(world, node);
    await world.settle(file.write(0, [filled(50_000, 7)]));
    node.crash();
    const again = await world.settle(node.restart().disk.open('f', 'read'));
    const into = new Uint8Array(50_000);
    expect(await world.settle(again.read(0, into))).toBe(50_000);
    expectBytes(into, filled(50_000, 7));
  });

  test('a write under way when its process is killed is done not at all, in part, or wholly', async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) {
      const world = testWorld(seed);
      const node = world.node('a');
      const file = await opened(world, node);
      void file.write(0, [filled(1_000, 1), filled(1_000, 2)]);
      node.crash();
      const { length } = node.disk.read('f');
      outcomes.add(length === 0 ? 'nothing' : length === 2_000 ? 'all' : 'part');
    }
    expect([...outcomes].sort()).toEqual(['all', 'nothing', 'part']);
  });

  test('a sync covers what was written when it began, not what was written while it ran', async () => {
    let early = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const world = testWorld(seed);
      const node = world.node('a');
      const file = await durableFile(world, node);
      file.writeNow(0, [filled(512, 1)]);
      const sync = file.sync();
      file.writeNow(0, [filled(512, 2)]);
      await world.settle(sync);
      expectBytes(node.disk.readDurable('f'), filled(512, 1));
      node.crash({ loseUnsynced: true });
      const left = node.disk.read('f');
      expect([1, 2]).toContain(left[0]);
      early += Number(left[0] === 1);
    }
    expect(early).toBeGreaterThan(5);
  });

  test('a sync that fails leaves the cache clean: a later one succeeds and writes nothing (fsyncgate)', async () => {
    let stillMissing = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const world = testWorld(seed);
      const node = world.node('a');
      const file = await durableFile(world, node);
      await world.settle(file.write(0, [filled(512, 1)]));
      node.disk.arm('syncError');
      await expect(world.settle(file.sync())).rejects.toMatchObject({ code: 'DISK_FAILED' });
      await world.settle(file.sync());
      expectBytes(node.disk.read('f'), filled(512, 1));
      const isMissing = node.disk.readDurable('f')[0] !== 1;
      node.crash({ loseUnsynced: true });
      expect(node.disk.read('f')[0] !== 1).toBe(isMissing);
      stillMissing += Number(isMissing);
    }
    expect(stillMissing).toBeGreaterThan(3);
    expect(stillMissing).toBeLessThan(17);
  });

  test('a truncate is undone or done, never half', async () => {
    const sizes = new Set<number>();
    for (let seed = 1; seed <= 30; seed++) {
      const world = testWorld(seed);
      const node = world.node('a');
      const file = await durableFile(world, node);
      await world.settle(file.write(0, [filled(81_920, 1)]));
      await world.settle(file.sync());
      await world.settle(file.truncate(16_384));
      node.crash({ loseUnsynced: true });
      const left = node.disk.read('f');
      sizes.add(left.length === 81_920 ? 81_920 : left.length === 16_384 ? 16_384 : 0);
      expectBytes(left, filled(left.length, 1));
    }
    expect(sizes.has(81_920) && sizes.has(16_384)).toBe(true);
  });
});

describe('power loss and names', () => {
  async function unplugged(seed: number, run: (node: SimNode, world: SimWorld) => Promise<unknown>): Promise<SimNode> {
    const world = testWorld(seed);
    const node = world.node('a');
    await run(node, world);
    node.crash({ loseUnsynced: true });
    return node;
  }

  test('a new name lasts only when its directory was synced, however well the file was', async () => {
    let vanished = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const node = await unplugged(seed, async ({ env: { disk } }, world) => {
        const safe = await world.settle(disk.open('safe', 'create'));
        await world.settle(safe.write(0, [filled(5, 1)]));
        await world.settle(safe.sync());
        await world.settle(disk.syncDirectory(''));
        const unsafe = await world.settle(disk.open('unsafe', 'create'));
        await world.settle(unsafe.sync());
      });
      expectBytes(node.disk.read('safe'), filled(5, 1));
      vanished += Number(!node.disk.paths().includes('unsafe'));
    }
    expect(vanished).toBeGreaterThan(3);
    expect(vanished).toBeLessThan(20);
  });

  test('an unsynced rename is done or not, and never loses the file', async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) {
      const node = await unplugged(seed, async ({ env: { disk } }, world) => {
        await world.settle(disk.makeDirectory('d'));
        await world.settle(disk.makeDirectory('e'));
        const file = await world.settle(disk.open('d/f', 'create'));
        await world.settle(file.write(0, [filled(3, 1)]));
        await world.settle(file.sync());
        for (const path of ['', 'd', 'e']) await world.settle(disk.syncDirectory(path));
        await world.settle(disk.rename('d/f', 'e/g'));
      });
      const paths = node.disk.paths();
      expect(paths.length).toBe(1);
      expectBytes(node.disk.read(paths[0]!), filled(3, 1));
      outcomes.add(paths[0]!);
    }
    expect([...outcomes].sort()).toEqual(['d/f', 'e/g']);
  });

  test('a removal may be undone, with the bytes that were durable', async () => {
    let back = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const node = await unplugged(seed, async ({ env: { disk } }, world) => {
        const file = await world.settle(disk.open('f', 'create'));
        await world.settle(file.write(0, [filled(3, 1)]));
        await world.settle(file.sync());
        await world.settle(disk.syncDirectory(''));
        await world.settle(disk.remove('f'));
        await world.settle(file.close());
      });
      if (node.disk.paths().length === 0) continue;
      back += 1;
      expectBytes(node.disk.read('f'), filled(3, 1));
      expect(node.disk.usedBytes).toBe(16_384);
    }
    expect(back).toBeGreaterThan(3);
  });

  test('of the changes of one directory, a power loss keeps the first ones', async () => {
    const kept = new Set<number>();
    for (let seed = 1; seed <= 30; seed++) {
      const node = await unplugged(seed, async ({ env: { disk } }, world) => {
        for (const name of ['1', '2', '3', '4', '5']) await world.settle(disk.open(name, 'create'));
      });
      const paths = node.disk.paths();
      expect(paths).toEqual(['1', '2', '3', '4', '5'].slice(0, paths.length));
      kept.add(paths.length);
    }
    expect(kept.size).toBeGreaterThan(2);
  });

  test('changes that a synced one hangs on are durable with it, and never come again', async () => {
    const node = await unplugged(1, async ({ env: { disk } }, world) => {
      await world.settle(disk.makeDirectory('d'));
      await world.settle(disk.makeDirectory('e'));
      await world.settle(disk.syncDirectory(''));
      await world.settle(disk.open('d/new', 'create'));
      await world.settle(disk.rename('d/new', 'd/f'));
      await world.settle(disk.rename('d/f', 'e/f'));
      await world.settle(disk.syncDirectory('e'));
      await world.settle(disk.syncDirectory('d'));
    });
    expect(node.disk.paths()).toEqual(['e/f']);
  });

  test('syncing one directory of a rename makes both sides durable', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const node = await unplugged(seed, async ({ env: { disk } }, world) => {
        await world.settle(disk.makeDirectory('d'));
        await world.settle(disk.makeDirectory('e'));
        await world.settle(disk.open('d/f', 'create'));
        for (const path of ['', 'd', 'e']) await world.settle(disk.syncDirectory(path));
        await world.settle(disk.rename('d/f', 'e/f'));
        await world.settle(disk.syncDirectory('e'));
      });
      expect(node.disk.paths()).toEqual(['e/f']);
    }
  });
});

describe('faults', () => {
  test('a full disk says DISK_FULL, keeps what fitted, and has room again after a removal', async () => {
    const world = testWorld(1);
    const node = world.node('a', { disk: { capacityBytes: 10 * 16_384 } });
    const file = await opened(world, node);
    await expect(world.settle(file.write(0, [filled(200_000, 1)]))).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(file.size()).toBe(10 * 16_384);
    expect(await world.settle(node.env.disk.usage())).toEqual({ totalBytes: 163_840, freeBytes: 0 });
    await world.settle(file.write(0, [filled(100_000, 2)]));
    await world.settle(node.env.disk.remove('f'));
    expect(node.disk.usedBytes).toBe(163_840);
    await world.settle(file.close());
    expect(node.disk.usedBytes).toBe(0);
    await world.settle((await opened(world, node, 'g')).write(0, [filled(100_000, 1)]));
  });

  test('a flipped bit is there for every reader, one bit and no more, and survives a sync and a power loss', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const file = await durableFile(world, node);
    await world.settle(file.write(0, [filled(50_000, 0)]));
    await world.settle(file.sync());
    node.disk.flipBit('f', 40_000, 3);
    await world.settle(file.sync());
    node.crash({ loseUnsynced: true });
    const expected = filled(50_000, 0);
    expected[40_000] = 8;
    expectBytes(node.disk.read('f'), expected);
  });

  test('armed errors strike once, where they are meant', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const file = await opened(world, node);
    const other = await opened(world, node, 'other');
    node.disk.arm('readError', (path) => path === 'f');
    node.disk.arm('writeError', (path) => path === 'f');
    await world.settle(other.write(0, [filled(1, 1)]));
    await expect(world.settle(file.write(0, [filled(1, 1)]))).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await world.settle(file.write(0, [filled(1, 1)]));
    expect(() => file.readNow(0, new Uint8Array(1))).toThrow('EIO');
    expect(file.readNow(0, new Uint8Array(1))).toBe(1);
  });

  test('torn, misdirected and lost writes are acknowledged', async () => {
    const world = testWorld(3);
    const node = world.node('a');
    const file = await opened(world, node);
    await world.settle(file.write(0, [filled(131_072, 1)]));
    node.disk.arm('lostWrite');
    await world.settle(file.write(65_536, [filled(4_096, 2)]));
    expectBytes(node.disk.read('f'), filled(131_072, 1));
    node.disk.arm('misdirectedWrite');
    await world.settle(file.write(65_536, [filled(4_096, 3)]));
    const misdirected = node.disk.read('f');
    expect(misdirected[65_536]).toBe(1);
    expect(misdirected.filter((byte) => byte === 3).length).toBe(4_096);
    node.disk.arm('tornWrite');
    await world.settle(file.write(0, [filled(16_384, 4)]));
    const torn = node.disk
      .read('f')
      .subarray(0, 16_384)
      .filter((byte) => byte === 4).length;
    expect(torn % 512).toBe(0);
    expect([0, 16_384]).not.toContain(torn);
  });

  test('a stalled disk completes nothing until it moves again', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const file = await opened(world, node);
    let done = 0;
    void file.write(0, [filled(1, 1)]).then(() => done++);
    node.disk.stall();
    void file.sync().then(() => done++);
    await world.run(60_000);
    expect(done).toBe(0);
    node.disk.unstall();
    await world.run(100);
    expect(done).toBe(2);
  });

  test('a write within the turn holds its process up while the disk is stalled', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const file = await opened(world, node);
    node.disk.stall();
    file.writeNow(0, [filled(1, 1)]);
    let fired = 0;
    node.env.clock.after(1, () => fired++);
    await world.run(1_000);
    expect([fired, node.isHeld]).toEqual([0, true]);
    node.disk.unstall();
    await world.run(10);
    expect([fired, node.isHeld]).toEqual([1, false]);
  });

  test('rates strike about as often as they say, and end with healFaults', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const file = await opened(world, node);
    await world.settle(file.write(0, [filled(1, 1)]));
    node.disk.faultRates.readError = 0.25;
    const errors = () => {
      let count = 0;
      for (let n = 0; n < 1_000; n++) {
        try {
          file.readNow(0, new Uint8Array(1));
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'DISK_FAILED' });
          count += 1;
        }
      }
      return count;
    };
    expect(errors()).toSatisfy((count: number) => count > 170 && count < 330);
    node.disk.healFaults();
    expect(errors()).toBe(0);
  });
});
