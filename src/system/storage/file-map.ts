/**
 * A map in one file of the environment's disk, written anew by each commit: for the simulation and for small states.
 * All pairs are held in memory. The format is in docs/formats/ordered-store.md.
 */
import { ByteReader, ByteWriter } from '../../core/base/bytes.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { makeDurableDirectory } from './durable-directory.ts';
import { applyChanges, collect, frozenReader } from './memory-map.ts';
import { OrderedMap } from './ordered-map.ts';
import type { Change, DurableMap, Key, Pair, Reader } from './ordered-store.ts';

const formatVersion = 1;
/** ASCII "CAIRNMAP". */
const magic = Uint8Array.of(0x43, 0x41, 0x49, 0x52, 0x4e, 0x4d, 0x41, 0x50);
const checksumBytes = 4;

/** @throws CairnError DISK_CORRUPT, WRONG_FORMAT, DISK_FULL, DISK_FAILED */
export async function openFileMap(env: Env, directory: string): Promise<DurableMap> {
  await makeDurableDirectory(env.disk, directory);
  // Who wrote what is read now may have been killed before its name was durable.
  await env.disk.syncDirectory(directory);
  const path = `${directory}/map`;
  const pairs = (await env.disk.exists(path)) ? decodeMap(await readWhole(env, path), env.crc32, path) : undefined;
  return new FileMap(env, directory, pairs ?? new OrderedMap());
}

class FileMap implements DurableMap {
  readonly #env: Env;
  readonly #directory: string;
  #pairs: OrderedMap<Uint8Array>;

  constructor(env: Env, directory: string, pairs: OrderedMap<Uint8Array>) {
    this.#env = env;
    this.#directory = directory;
    this.#pairs = pairs;
  }

  get(key: Key): Uint8Array | undefined {
    return this.#pairs.get(key);
  }

  scan(from: Key, to: Key): Iterable<Pair> {
    return this.#pairs.entries(from, to);
  }

  async commit(changes: Iterable<Change>): Promise<void> {
    const next = this.#pairs.clone();
    applyChanges(next, changes);
    await this.#write(next);
  }

  freeze(): Reader & { close(): void } {
    return frozenReader(this.#pairs);
  }

  async replace(batches: AsyncIterable<readonly Pair[]>): Promise<void> {
    await this.#write(await collect(batches));
  }

  async close(): Promise<void> {}

  /** The old file is there, whole, until the new one is. */
  async #write(pairs: OrderedMap<Uint8Array>): Promise<void> {
    const { disk, crc32 } = this.#env;
    const path = `${this.#directory}/map`;
    const unfinished = `${path}.tmp`;
    const file = await disk.open(unfinished, 'create');
    try {
      await file.truncate(0);
      await file.write(0, [encodeMap(pairs, crc32)]);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(unfinished, path);
    await disk.syncDirectory(this.#directory);
    this.#pairs = pairs;
  }
}

async function readWhole(env: Env, path: string): Promise<Uint8Array> {
  const file = await env.disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(file.size());
    await file.read(0, bytes);
    return bytes;
  } finally {
    await file.close();
  }
}

function encodeMap(pairs: OrderedMap<Uint8Array>, crc32: Env['crc32']): Uint8Array {
  const writer = new ByteWriter(4096);
  writer.raw(magic);
  writer.u32(formatVersion);
  writer.u53(pairs.size);
  for (const [key, value] of pairs.entries()) {
    writer.varint(key.length);
    for (let i = 0; i < key.length; i++) writer.u8(key.charCodeAt(i));
    writer.blob(value);
  }
  writer.u32(crc32(writer.view()));
  return writer.view();
}

/** @throws CairnError DISK_CORRUPT, WRONG_FORMAT */
export function decodeMap(bytes: Uint8Array, crc32: Env['crc32'], path: string): OrderedMap<Uint8Array> {
  const end = bytes.length - checksumBytes;
  const body = bytes.subarray(0, Math.max(end, 0));
  const sound = end >= magic.length && new ByteReader(bytes.subarray(end)).u32() === crc32(body);
  if (!sound || magic.some((byte, i) => byte !== bytes[i])) {
    throw new CairnError('DISK_CORRUPT', `${path} is damaged; start this node with an empty directory`);
  }
  const reader = new ByteReader(body.subarray(magic.length));
  const version = reader.u32();
  if (version !== formatVersion) {
    throw new CairnError('WRONG_FORMAT', `${path} has format version ${version}, this program reads ${formatVersion}`);
  }
  const pairs = new OrderedMap<Uint8Array>();
  for (let left = reader.u53(); left > 0; left--) {
    const key = String.fromCharCode(...reader.blob());
    pairs.set(key, reader.blob().slice());
  }
  reader.end();
  return pairs;
}
