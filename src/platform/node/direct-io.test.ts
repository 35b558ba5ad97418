import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Disk, diskBlockBytes } from '../../core/base/env.ts';
import { allocateAligned } from './aligned-memory.ts';
import { canReadDirectly, directMinBytes, directPrefixBytes, openDirect } from './direct-io.ts';
import { nodeDisk } from './disk.ts';

const bulkBytes = 4 * directMinBytes;

let root: string;
let disk: Disk;

beforeEach(() => {
  // Beside the sources, since the system's folder for temporary files is often in memory, where nothing is direct.
  root = mkdtempSync(join(process.cwd(), 'node_modules', '.direct-io-'));
  disk = nodeDisk(root);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function filled(length: number, seed: number): Uint8Array {
  const bytes = disk.allocate(length);
  for (let n = 0; n < length; n++) bytes[n] = (n * 7 + (n >> 9) + seed) & 0xff;
  return bytes;
}

/** What this process has made the disk read and write so far. */
function diskBytes(): { readonly read: number; readonly write: number } {
  const counters = readFileSync('/proc/self/io', 'utf8');
  const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(counters)?.[1]);
  return { read: count('read_bytes'), write: count('write_bytes') };
}

describe('what goes past the page cache', () => {
  test('aligned memory, of the least length, at an aligned offset', () => {
    const memory = allocateAligned(bulkBytes);
    expect(directPrefixBytes(0, [memory])).toBe(bulkBytes);
    expect(directPrefixBytes(diskBlockBytes, [memory.subarray(diskBlockBytes)])).toBe(bulkBytes - diskBlockBytes);
    expect(directPrefixBytes(100, [memory])).toBe(0);
    expect(directPrefixBytes(0, [memory.subarray(1)])).toBe(0);
    expect(directPrefixBytes(0, [Buffer.alloc(bulkBytes)])).toBe(0);
    expect(directPrefixBytes(0, [memory.subarray(0, directMinBytes - diskBlockBytes)])).toBe(0);
    expect(canReadDirectly(0, memory)).toBe(true);
    expect(canReadDirectly(0, memory.subarray(0, bulkBytes - 1))).toBe(false);
    expect(canReadDirectly(512, memory)).toBe(false);
  });

  test('whole blocks only: a tail, and what stands behind unaligned parts, stays in the cache', () => {
    const memory = allocateAligned(bulkBytes);
    expect(directPrefixBytes(0, [memory.subarray(0, bulkBytes - 1)])).toBe(bulkBytes - diskBlockBytes);
    expect(directPrefixBytes(0, [memory, Buffer.alloc(diskBlockBytes)])).toBe(bulkBytes);
    expect(directPrefixBytes(0, [memory, memory])).toBe(2 * bulkBytes);
    expect(directPrefixBytes(0, [memory.subarray(0, 10), memory])).toBe(0);
  });

  test('allocated memory is aligned, zeroed and disjoint, from a byte to many arenas', () => {
    const blocks = [1, 4096, 4097, 1 << 20, 20 << 20, 40 << 20, 1].map(allocateAligned);
    for (const block of blocks) {
      expect(block.byteOffset % diskBlockBytes).toBe(0);
      expect(block.every((byte) => byte === 0)).toBe(true);
      block.fill(1);
    }
  });
});

describe('both ways into one file', () => {
  test('direct writes are seen by cached reads and the other way round, block by block', async () => {
    const file = await disk.open('f', 'createNew');
    const first = filled(bulkBytes, 1);
    await file.write(0, [first]);
    const cached = Buffer.alloc(bulkBytes);
    expect(file.readNow(0, cached)).toBe(bulkBytes);
    expect(cached.equals(first)).toBe(true);

    // Dirty pages of the cache, then a direct read over them.
    file.writeNow(5000, [Buffer.from('small')]);
    Buffer.from('small').copy(first, 5000);
    const direct = disk.allocate(bulkBytes);
    expect(await file.read(0, direct)).toBe(bulkBytes);
    expect(Buffer.compare(direct, first)).toBe(0);

    // Dirty pages of the cache, then a direct write over half of them.
    file.writeNow(0, [Buffer.alloc(bulkBytes, 9)]);
    const second = filled(bulkBytes / 2, 2);
    await file.write(0, [second]);
    await file.sync();
    expect(file.readNow(0, cached)).toBe(bulkBytes);
    expect(cached.subarray(0, bulkBytes / 2).equals(second)).toBe(true);
    expect(cached.subarray(bulkBytes / 2).every((byte) => byte === 9)).toBe(true);
    await file.close();
  });

  test('a length that is no whole block is written and read to its last byte', async () => {
    const length = bulkBytes + 777;
    const bytes = filled(length, 3);
    const file = await disk.open('f', 'create');
    await file.write(diskBlockBytes, [bytes.subarray(0, directMinBytes), bytes.subarray(directMinBytes)]);
    expect(file.size()).toBe(diskBlockBytes + length);
    const into = disk.allocate(bulkBytes + 2 * diskBlockBytes);
    expect(await file.read(diskBlockBytes, into)).toBe(length);
    expect(Buffer.compare(into.subarray(0, length), bytes)).toBe(0);
    expect(await file.read(diskBlockBytes * 1000, into)).toBe(0);
    await file.close();
  });

  test('bulk reads and writes of aligned memory reach the disk each time, others and those of hot bytes do not', async ({
    skip,
  }) => {
    const gate = { open: true };
    const probe = openSync(join(root, 'probe'), 'w+');
    const direct = openDirect(probe, true, gate);
    closeSync(probe);
    if (direct === undefined) skip('the file system here takes no direct input and output');
    else closeSync(direct);

    const file = await disk.open('f', 'create');
    const bytes = filled(bulkBytes, 6);
    const before = diskBytes();
    expect(await file.write(0, [bytes])).toBe(0); // of it went through the cache
    const written = diskBytes();
    expect(written.write - before.write).toBeGreaterThanOrEqual(bulkBytes);
    await file.read(0, bytes);
    await file.read(0, bytes);
    const readTwice = diskBytes();
    expect(readTwice.read - written.read).toBeGreaterThanOrEqual(2 * bulkBytes);
    const cached = Buffer.alloc(bulkBytes);
    await file.read(0, cached);
    const readCached = diskBytes();
    await file.read(0, cached);
    await file.read(0, bytes, true);
    expect(diskBytes().read - readCached.read).toBeLessThan(bulkBytes);
    expect(await file.write(0, [bytes, Buffer.alloc(5)])).toBe(5);
    expect(await file.write(1, [bytes])).toBe(bulkBytes);
    await file.close();
  });

  test('a file keeps its direct way when it is renamed and removed', async () => {
    const file = await disk.open('f', 'create');
    await disk.rename('f', 'g');
    await disk.remove('g');
    const bytes = filled(bulkBytes, 4);
    await file.write(0, [bytes]);
    const into = disk.allocate(bulkBytes);
    expect(await file.read(0, into)).toBe(bulkBytes);
    expect(Buffer.compare(into, bytes)).toBe(0);
    await file.close();
  });

  test('a process that has too many files open just now goes past the cache again when it has not', async ({
    skip,
  }) => {
    const script = join(root, 'crowded.mjs');
    // Takes all descriptors that it may have, and says whether the disk counts as one that refuses.
    const contents = `import { closeSync, openSync } from 'node:fs';
      import { openDirect } from './direct-io.ts';
      const fd = openSync(process.argv[2], 'w+');
      const gate = { open: true };
      const ways = [openDirect(fd, true, gate)];
      const held = [];
      try {
        for (;;) held.push(openSync('/dev/null'));
      } catch {}
      if (ways[0] !== undefined) ways.push(openDirect(fd, true, gate));
      for (const one of held) closeSync(one);
      console.log(ways.map((way) => way !== undefined).join(' '), gate.open);`;
    await build({
      stdin: { contents, resolveDir: import.meta.dirname },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: script,
      logLevel: 'silent',
    });
    const command = `ulimit -n 64; exec "${process.execPath}" "${script}" "${join(root, 'probe')}"`;
    const said = execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8' }).trim();
    if (said.startsWith('false')) skip('the file system here takes no direct input and output');
    expect(said).toBe('true false true');
  });

  test('a disk that refuses direct input and output is used through the cache from then on', async () => {
    const gate = { open: true };
    expect(openDirect(1_000_000, true, gate)).toBeUndefined();
    expect(gate.open).toBe(false);
    disk = nodeDisk(root, { direct: false });
    const file = await disk.open('f', 'createNew');
    const bytes = filled(bulkBytes, 5);
    await file.write(0, [bytes]);
    const into = disk.allocate(bulkBytes);
    expect(await file.read(0, into)).toBe(bulkBytes);
    expect(Buffer.compare(into, bytes)).toBe(0);
    await file.close();
  });
});
