/** What a file system is asked by mistake, or finds after an accident: an answer that says so, and everything else goes on. */
import { describe, expect, test } from 'vitest';
import { bytesEqual } from '../../core/base/bytes.ts';
import type { CairnError } from '../../core/base/errors.ts';
import { payload } from '../simulator/payload.ts';
import { chunkBytes, DataPlane } from './cluster.test-support.ts';

const most = Number.MAX_SAFE_INTEGER;
const empty = new Uint8Array(0);

function ten(value: number): Uint8Array {
  return new Uint8Array(10).fill(value);
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'OK',
    ({ code }: CairnError) => code,
  );
}

async function planeWith(seed: number, lengthBytes: number) {
  const plane = await DataPlane.start(seed);
  const bytes = payload(seed, lengthBytes);
  await plane.run(plane.client.writeFile('/f', bytes));
  return { plane, client: plane.client, bytes };
}

describe('positions and lengths', () => {
  test('reading beyond the end gives nothing, across the end what there is, zero bytes nothing', async () => {
    const { plane, client, bytes } = await planeWith(1, chunkBytes + 1000);
    const handle = await plane.run(client.open('/f', 'r+'));
    const read = async (position: number, length: number) =>
      (await plane.run(handle.read(new Uint8Array(length), { position }))).bytesRead;
    expect(await read(bytes.length, 10)).toBe(0);
    expect(await read(bytes.length - 3, 10)).toBe(3);
    expect(await read(5 * chunkBytes, 3 * chunkBytes)).toBe(0);
    expect(await read(most, 1)).toBe(0);
    expect(await read(most - 10, 2 * chunkBytes)).toBe(0);
    expect(await read(10, 0)).toBe(0);
    expect(await plane.run(client.readFile('/f', { start: most }))).toHaveLength(0);
    expect(await plane.run(client.readFile('/f', { start: bytes.length - 1, length: most }))).toHaveLength(1);
  });

  test.each([-1, 1.5, Number.NaN, most + 1])('position %d is refused before anybody is asked', async (position) => {
    const { plane, client } = await planeWith(2, 10);
    const handle = await plane.run(client.open('/f', 'r+'));
    const code = async (work: Promise<unknown>) => plane.run(codeOf(work));
    expect(await code(handle.read(new Uint8Array(1), { position }))).toBe('INVALID_ARGUMENT');
    expect(await code(handle.write(new Uint8Array(1), { position }))).toBe('INVALID_ARGUMENT');
    expect(await code(client.readFile('/f', { start: position }))).toBe('INVALID_ARGUMENT');
    expect(await code(client.truncate('/f', position))).toBe('INVALID_ARGUMENT');
  });

  test('writing at the end of all numbers is refused and leaves the file as it was', async () => {
    const { plane, client, bytes } = await planeWith(3, 1000);
    const handle = await plane.run(client.open('/f', 'r+'));
    for (const position of [most, most - 1]) {
      expect(await plane.run(codeOf(handle.write(payload(1, 10), { position })))).toBe('TOO_LARGE');
      expect(await plane.run(codeOf(client.truncate('/f', position)))).toBe('TOO_LARGE');
    }
    expect(bytesEqual(await plane.run(client.readFile('/f')), bytes)).toBe(true);
  });

  test('zero bytes written, appended or put are nothing, and a record has some', async () => {
    const { plane, client, bytes } = await planeWith(4, 1000);
    const handle = await plane.run(client.open('/f', 'r+'));
    await plane.run(handle.write(empty, { position: 5 * chunkBytes }));
    await plane.run(client.appendFile('/f', empty));
    expect((await plane.run(client.stat('/f'))).size).toBe(bytes.length);
    expect(await plane.run(codeOf(client.recordAppend('/f', empty)))).toBe('INVALID_ARGUMENT');
    await plane.run(client.appendRecord('/f', empty));
    await plane.run(client.writeFile('/f', empty));
    expect((await plane.run(client.stat('/f'))).size).toBe(0);
  });

  test('a byte far behind the end leaves a hole of zeros, for which no chunk is made', async () => {
    const { plane, client } = await planeWith(5, 1000);
    const handle = await plane.run(client.open('/f', 'r+'));
    const far = 1_000_000 * chunkBytes + 77;
    await plane.run(handle.write(Uint8Array.of(9), { position: far }));
    expect((await plane.run(client.stat('/f'))).size).toBe(far + 1);
    expect(plane.cluster.tables!.counters.chunks).toBe(2);
    const around = await plane.run(client.readFile('/f', { start: far - 3, length: 10 }));
    expect([...around]).toEqual([0, 0, 0, 9]);
    const inHole = await plane.run(client.readFile('/f', { start: 500 * chunkBytes - 5, length: 3 * chunkBytes }));
    expect(inHole.length === 3 * chunkBytes && inHole.every((byte) => byte === 0)).toBe(true);
    await plane.run(client.truncate('/f', 3 * chunkBytes));
    expect((await plane.run(client.stat('/f'))).size).toBe(3 * chunkBytes);
    expect((await plane.run(client.readFile('/f', { start: 1000 }))).every((byte) => byte === 0)).toBe(true);
  });
});

describe('several writers', () => {
  test('of the same places end in one order, the same on every replica', async () => {
    const { plane, client } = await planeWith(6, 3 * chunkBytes);
    const others = [client, await plane.anotherClient('c8'), await plane.anotherClient('c9')];
    const handles = await plane.run(Promise.all(others.map((one) => one.open('/f', 'r+'))));
    const position = chunkBytes - 5000;
    const writes = handles.flatMap((handle, n) =>
      Array.from({ length: 8 }, () => handle.write(new Uint8Array(10_000).fill(n + 1), { position })),
    );
    await plane.run(Promise.all(writes));
    const first = await plane.run(client.readFile('/f', { start: position, length: 10_000 }));
    // Each side of the border is of one writer: the write has two mutations, ordered by two primaries.
    for (const side of [first.subarray(0, 5000), first.subarray(5000)]) {
      expect(side[0]).toBeGreaterThan(0);
      expect(side.every((byte) => byte === side[0])).toBe(true);
    }
    for (const other of others) {
      expect(bytesEqual(await plane.run(other.readFile('/f', { start: position, length: 10_000 })), first)).toBe(true);
    }
  });

  test('of which one dies in the middle of a write: the others go on, and what it wrote is there in part or whole', async () => {
    const { plane, client } = await planeWith(7, 0);
    const dying = plane.world.node('dying');
    const mortal = await plane.run(plane.cluster.startClient(dying.env));
    const handle = await plane.run(mortal.open('/f', 'r+'));
    void codeOf(handle.write(new Uint8Array(4 * chunkBytes).fill(7), { position: 0 }));
    await plane.world.run(3);
    dying.crash();
    await plane.world.run(500);
    const own = await plane.run(client.open('/f', 'r+'));
    await plane.run(own.write(new Uint8Array(100).fill(1), { position: chunkBytes - 50 }));
    const content = await plane.run(client.readFile('/f'));
    expect(content.subarray(chunkBytes - 50, chunkBytes + 50).every((byte) => byte === 1)).toBe(true);
    expect(content.every((byte) => byte === 7 || byte === 0 || byte === 1)).toBe(true);
  });
});

describe('a writer', () => {
  test('whose connection is lost while some of what it appends waits for room in it has it in its order all the same', async () => {
    const mebi = 1024 * 1024;
    const plane = await DataPlane.start(8, { chunkservers: 1, replication: 1, chunkBytes: 8 * mebi });
    const { client, world, cluster } = plane;
    const ways = [cluster.clientNodes[0]!.name, cluster.chunkservers[0]!.node.name] as const;
    const open = async (path: string) => {
      const file = await plane.run(client.open(path, 'a', { mode: 'strong', chunkBytes: 8 * mebi }));
      await plane.run(file.recordAppend(new Uint8Array([1])));
      return file;
    };
    const [x, y, z, log] = [await open('/x'), await open('/y'), await open('/z'), await open('/log')];
    const heal = world.network.shape(...ways, { bytesPerMs: 1000 });
    const others = [x, y, z, z].map((file, n) => file.recordAppend(payload(n, mebi - 1000 * n)));
    const [one, two] = [payload(5, mebi), payload(6, mebi)];
    const asked = [log.recordAppend(one), log.recordAppend(two)];
    await world.run(50);
    world.network.reset(...ways);
    heal();
    await plane.run(Promise.all(others));
    expect(await plane.run(Promise.all(asked))).toEqual([1, 1 + mebi]);
    const whole = await plane.run(client.readFile('/log'));
    expect([bytesEqual(whole.subarray(1, 1 + mebi), one), bytesEqual(whole.subarray(1 + mebi), two)]).toEqual([
      true,
      true,
    ]);
  });
});

describe('a name', () => {
  test('that two clients make at one time is made by one of them, and the other is told', async () => {
    const { plane, client } = await planeWith(9, 0);
    const both = [client, await plane.anotherClient('c8')];
    for (let n = 0; n < 5; n++) {
      const codes = await plane.run(Promise.all(both.map((one) => codeOf(one.open(`/new-${n}`, 'wx')))));
      expect(codes.toSorted()).toEqual(['EXISTS', 'OK']);
    }
    await plane.run(Promise.all(both.map((one, n) => one.appendFile('/shared', new Uint8Array(10).fill(n + 1)))));
    expect((await plane.run(client.readFile('/shared'))).toSorted()).toEqual(Uint8Array.of(...ten(1), ...ten(2)));
  });
});

describe('a file that is open elsewhere', () => {
  test('and removed is read as it was until it is collected, then is gone; nothing more is written to it', async () => {
    const { plane, client, bytes } = await planeWith(10, 2 * chunkBytes);
    const handle = await plane.run((await plane.anotherClient('c8')).open('/f', 'r+'));
    const read = async (): Promise<string> => {
      const into = new Uint8Array(100);
      const code = await plane.run(codeOf(handle.read(into, { position: chunkBytes })));
      if (code !== 'OK') return code;
      return bytesEqual(into, bytes.subarray(chunkBytes, chunkBytes + 100)) ? 'as it was' : 'other bytes';
    };
    expect(await read()).toBe('as it was');
    await plane.run(client.rm('/f'));
    await plane.run(client.writeFile('/f', payload(2, 2 * chunkBytes)));
    const seen = new Set<string>();
    for (let n = 0; n < 60 && !seen.has('STALE_HANDLE'); n++) {
      seen.add(await read());
      await plane.world.run(200);
    }
    seen.delete('as it was');
    expect([...seen]).toEqual(['STALE_HANDLE']);
    expect(await plane.run(codeOf(handle.write(ten(1), { position: 0 })))).toBe('STALE_HANDLE');
    expect(bytesEqual(await plane.run(client.readFile('/f')), payload(2, 2 * chunkBytes))).toBe(true);
  });

  test('and emptied keeps what is appended from then on', async () => {
    const { plane, client } = await planeWith(11, 0);
    const other = await plane.anotherClient('c8');
    let emptiedAt = Number.POSITIVE_INFINITY;
    const kept: number[] = [];
    const appending = async () => {
      const log = await client.open('/log', 'a');
      for (let n = 1; n < 200 && kept.length < 20; n++) {
        const beganAt = plane.world.now;
        await log.append(ten(n));
        if (beganAt > emptiedAt) kept.push(n);
      }
    };
    const emptying = async () => {
      await new Promise<void>((resolve) => plane.world.after(100, resolve));
      await other.truncate('/log', 0);
      emptiedAt = plane.world.now;
    };
    await plane.run(Promise.all([appending(), emptying()]));
    expect(kept).toHaveLength(20);
    const there = new Set(await plane.run(client.readFile('/log')));
    expect(kept.filter((n) => !there.has(n))).toEqual([]);
  });
});

describe('a chunk that moves to another server', () => {
  test('takes nothing more where it was: what is written with what was learnt before is in the file', async () => {
    const plane = await DataPlane.start(14, { chunkservers: 4 });
    const { client, cluster } = plane;
    await plane.world.run(8000); // a new leader moves nothing that is open
    const log = await plane.run(client.open('/log', 'a'));
    await plane.run(log.append(ten(1)));
    await plane.world.run(3000); // the lease is given up, and the next one is of another version
    await plane.run(log.append(ten(2)));
    const [handle, chunk] = [...cluster.tables!.chunks(0)][0]!;
    const primary = chunk.servers[0]!;
    await plane.run(client.drain(primary));
    const isMoved = () => cluster.tables!.chunk(handle)!.servers.every((id) => id !== primary);
    expect(await plane.world.runUntil(isMoved, 1500)).toBe(true);
    await plane.world.run(100);
    await plane.run(log.append(ten(3)));
    expect(await plane.run(client.readFile('/log'))).toEqual(Uint8Array.of(...ten(1), ...ten(2), ...ten(3)));
  });
});

describe('a chunkserver that was away for a year', () => {
  test('comes back with what it had: nobody reads that, and it holds what it should in the end', async () => {
    const { plane, client } = await planeWith(12, 3 * chunkBytes);
    await plane.run(client.writeFile('/gone', payload(3, chunkBytes)));
    const [{ node }] = plane.cluster.chunkservers as [(typeof plane.cluster.chunkservers)[0]];
    node.crash();
    const fresh = payload(13, 3 * chunkBytes);
    const handle = await plane.run(client.open('/f', 'r+'));
    await plane.run(handle.write(fresh, { position: 0 }));
    await plane.run(client.rm('/gone'));
    await plane.world.run(20_000);
    const readers = [client, await plane.anotherClient('c8'), await plane.anotherClient('c9')];
    for (const reader of readers) expect(bytesEqual(await plane.run(reader.readFile('/f')), fresh)).toBe(true);
    node.clock.jumpWall(365 * 24 * 3600 * 1000);
    plane.cluster.restart(node);
    for (let n = 0; n < 30; n++) {
      for (const reader of readers) expect(bytesEqual(await plane.run(reader.readFile('/f')), fresh)).toBe(true);
      await plane.world.run(100);
    }
    const isWhole = () => [...plane.cluster.tables!.chunks(0)].every(([, { servers }]) => servers.length === 3);
    expect(await plane.world.runUntil(isWhole, 60_000)).toBe(true);
    await plane.world.run(5000);
    const { servers } = await plane.run(client.status());
    for (const { chunks, needed } of servers) expect(chunks).toBe(needed);
  });
});

describe('a chunk that is lost on all servers', () => {
  test('fails where it lies, soon and with a clear error; the rest of the file, and others, can be read and written', async () => {
    const { plane, client, bytes } = await planeWith(8, 3 * chunkBytes);
    await plane.run(client.writeFile('/other', payload(1, 1000)));
    await plane.world.runUntil(() => [...plane.cluster.tables!.chunks(0)].every(([, { sealed }]) => sealed), 20_000);
    const [, [handle]] = [...plane.cluster.tables!.chunks(0)] as [unknown, [number, unknown]];
    for (const { node } of plane.cluster.chunkservers) {
      node.crash();
      node.disk.remove(chunkPath(handle));
      plane.cluster.restart(node);
    }
    await plane.world.runUntil(() => plane.cluster.isUp, 20_000);
    const from = plane.world.now;
    const reading = client.readFile('/f', { start: chunkBytes + 5, length: 10 });
    await expect(plane.run(reading)).rejects.toMatchObject({
      code: 'DATA_LOST',
      message: expect.stringMatching(
        /^\/f: bytes 262149 to 262159 of the file are lost: .*server \d: (CHUNK_MISSING|DISK_CORRUPT)/,
      ),
    });
    expect(plane.world.now - from).toBeLessThan(5000);
    const start = await plane.run(client.readFile('/f', { length: chunkBytes }));
    expect(bytesEqual(start, bytes.subarray(0, chunkBytes))).toBe(true);
    const end = await plane.run(client.readFile('/f', { start: 2 * chunkBytes }));
    expect(bytesEqual(end, bytes.subarray(2 * chunkBytes))).toBe(true);
    await plane.run(client.appendFile('/f', payload(2, 100)));
    expect((await plane.run(client.readFile('/other'))).length).toBe(1000);
    await plane.world.runUntil(() => false, 12_000);
    expect((await plane.run(client.status())).lostChunks).toBe(1);
  });
});

function chunkPath(handle: number): string {
  const directory = Math.floor(handle / 4096)
    .toString(16)
    .padStart(2, '0');
  return `store/chunks/${directory}/${handle.toString(16).padStart(16, '0')}`;
}
