/**
 * The ordered map on LMDB: what keeps a namespace larger than memory. One process opens it at a time.
 *
 * A commit is one transaction of LMDB. It is filled on this thread in short slices with pauses between them, and written and
 * synced on a thread of the pool. It is a child transaction, so that an error in the middle undoes all of it.
 * Without `overlappingSync` a transaction is synced before it counts as committed: resolved means durable.
 * Without `useWritemap` a full disk is an error and not a signal that ends the process; but for the lock file, which is mapped: where it is to be
 * made, there must be room.
 *
 * Files: `map-<generation>.mdb` (and LMDB's `…-lock`). A replacement fills the next generation under another name, renames it
 * when it is durable, then drops the old one: after a crash the highest generation counts.
 */
import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { open, type RootDatabase, type Transaction } from 'lmdb';
import { assert } from '../../core/base/assert.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { Change, DurableMap, Key, Pair, Reader } from '../../system/storage/ordered-store.ts';
import { diskError } from './disk-errors.ts';

/** How long a commit holds this thread at a time; what else happens here takes several turns, each of which may wait for a slice. */
const sliceMs = 0.5;
/** After each slice: whoever waits for a processor has more of it than the commit, which nobody waits for. */
const pauseMs = 1;
/** Changes between two looks at the clock. */
const changesPerLook = 32;
/** A replacement is loaded in transactions of about this size, for others that use the disk wait behind each; it counts when all are done. */
const loadMaxBytes = 1024 * 1024;
/** Values are handed over through one buffer; it grows to the largest. */
const valueBufferBytes = 64 * 1024;
const startEmpty = 'start this node with an empty directory: it then fetches everything from its peers';
const fileName = /^map-([0-9]{8})\.mdb$/;

type Database = RootDatabase<Uint8Array, Key>;

/** @param directory is made if it is missing. @throws CairnError DISK_FULL, DISK_FAILED, DISK_CORRUPT */
export async function openLmdbMap(directory: string): Promise<DurableMap> {
  try {
    await makeDirectory(directory);
    // Who named the highest generation may have been killed before that was durable: it counts from now on, and the others go.
    await sync(directory);
    const generation = await cleanUp(directory);
    if (generation === 0) {
      await prepare(directory, nothing());
      return new LmdbMap(directory, 1, await publish(directory, 1));
    }
    const file = join(directory, nameOf(generation));
    await checkFile(file);
    return new LmdbMap(directory, generation, new Generation(await openExisting(file), file));
  } catch (thrown) {
    throw await mapError('opening', directory, thrown);
  }
}

/** Removes all but the highest generation, which is returned; 0 if there is none. */
async function cleanUp(directory: string): Promise<number> {
  const names = await fs.promises.readdir(directory);
  const generations = names.map((name) => Number(fileName.exec(name)?.[1] ?? 0));
  const highest = Math.max(0, ...generations);
  for (const name of names) {
    const isOld = /^map-[0-9]{8}\.mdb/.test(name) && !name.startsWith(nameOf(highest));
    if (isOld || name.startsWith('loading.mdb')) await fs.promises.rm(join(directory, name));
  }
  return highest;
}

function nameOf(generation: number): string {
  return `map-${String(generation).padStart(8, '0')}.mdb`;
}

async function* nothing(): AsyncIterable<readonly Pair[]> {}

/** Fills a file under another name; whole and durable when it resolves. */
async function prepare(directory: string, batches: AsyncIterable<readonly Pair[]>): Promise<void> {
  const loading = join(directory, 'loading.mdb');
  await removeFiles(loading);
  try {
    await mustHaveRoom(directory);
    await load(loading, batches);
    await sync(loading);
  } catch (thrown) {
    const error = await mapError('filling', directory, thrown); // while a full disk can still be told
    // Half of it takes room that the log may need. What cannot be removed now, the next replacement or the next start removes.
    await removeFiles(loading).catch(() => undefined);
    throw error;
  }
}

/** Gives the prepared file the name of a generation: from then on it counts. */
async function publish(directory: string, generation: number): Promise<Generation> {
  const loading = join(directory, 'loading.mdb');
  const file = join(directory, nameOf(generation));
  await fs.promises.rename(loading, file);
  await fs.promises.rm(`${loading}-lock`, { force: true });
  await sync(directory);
  return new Generation(await openExisting(file), file);
}

async function openExisting(file: string): Promise<Database> {
  if (!fs.existsSync(`${file}-lock`)) await mustHaveRoom(dirname(file));
  return openDatabase(file);
}

/** With the parents that are missing; all names are durable when it resolves. */
async function makeDirectory(directory: string): Promise<void> {
  const whole = resolve(directory);
  const first = (await fs.promises.mkdir(directory, { recursive: true })) ?? whole;
  for (let made = whole; made.length >= first.length; made = dirname(made)) await sync(dirname(made));
}

/** Of a file or a directory. */
async function sync(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Where things lie in the two meta pages of LMDB's data format 2. */
const meta = { magicAt: 24, versionAt: 28, pageBytesAt: 48, rootAt: 136, end: 168 } as const;
const lmdbMagic = 0xbeefc0de;
const lmdbVersion = 2;
const noPage = 0xffff_ffff_ffff_ffffn;

/** The library is ended by a signal when it opens something else, so this looks first. @throws CairnError DISK_CORRUPT */
async function checkFile(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r');
  try {
    const { size } = await handle.stat();
    const page = new DataView(new ArrayBuffer(meta.end));
    let pageBytes = 0;
    for (const index of [0, 1]) {
      const { bytesRead } = await handle.read(page, 0, meta.end, index * pageBytes);
      pageBytes = page.getUint32(meta.pageBytesAt, true);
      const root = page.getBigUint64(meta.rootAt, true);
      const whole =
        bytesRead === meta.end &&
        page.getUint32(meta.magicAt, true) === lmdbMagic &&
        page.getUint32(meta.versionAt, true) === lmdbVersion &&
        pageBytes >= 4096 &&
        (root === noPage || (root + 1n) * BigInt(pageBytes) <= BigInt(size));
      if (!whole) throw new CairnError('DISK_CORRUPT', `${path} is damaged or cut short; ${startEmpty}`);
    }
  } finally {
    await handle.close();
  }
}

function openDatabase(path: string): Database {
  return open<Uint8Array, Key>({
    path,
    noSubdir: true,
    maxDbs: 1,
    encoder: valueCodec(),
    keyEncoder: keyCodec,
    cache: false,
    overlappingSync: false,
    eventTurnBatching: false,
    // Only this process reads the file, and all of it is the namespace anyway.
    noMemInit: true,
  });
}

const keyCodec = {
  writeKey(key: Key, target: Buffer, start: number): number {
    for (let i = 0; i < key.length; i++) target[start + i] = key.charCodeAt(i);
    return start + key.length;
  },
  readKey(target: Buffer, start: number, end: number): Key {
    return target.toString('latin1', start, end);
  },
};

interface ValueBuffer extends Uint8Array {
  start?: number;
  end?: number;
}

/** Hands values over through one buffer, for the library looks up the address of each new buffer at some cost. */
function valueCodec(): object {
  let buffer: ValueBuffer = Buffer.allocUnsafeSlow(valueBufferBytes);
  return {
    copyBuffers: true,
    encode(value: Uint8Array): Uint8Array {
      if (value.length > buffer.length) buffer = Buffer.allocUnsafeSlow(value.length);
      buffer.set(value, 0);
      buffer.start = 0;
      buffer.end = value.length;
      return buffer;
    },
    /** `bytes` is the library's own buffer, good until the next read. */
    decode(bytes: Uint8Array): Uint8Array {
      const value = new Uint8Array(bytes.length);
      if (value.length > 64) value.set(Uint8Array.prototype.subarray.call(bytes, 0, value.length));
      else for (let i = 0; i < value.length; i++) value[i] = bytes[i]!;
      return value;
    },
  };
}

/** One file of the map; lives until nothing reads it any more. */
class Generation {
  readonly database: Database;
  readonly #file: string;
  #readers = 0;
  #retired = false;
  #closed = false;

  constructor(database: Database, file: string) {
    this.database = database;
    this.#file = file;
  }

  reader(): Reader & { close(): void } {
    // The present read transaction may be older than the last commit.
    this.database.resetReadTxn();
    const transaction = this.database.useReadTransaction();
    this.#readers++;
    let open = true;
    return {
      get: (key) => {
        for (const [, value] of pairsOf(this.database, key, `${key}\x00`, transaction)) return value;
        return undefined;
      },
      scan: (from, to) => pairsOf(this.database, from, to, transaction),
      close: () => {
        assert(open, 'a frozen view is closed once');
        open = false;
        if (this.#closed) return; // which has ended the transaction
        transaction.done();
        this.#readers--;
        if (this.#retired) void this.#drop();
      },
    };
  }

  /** It is no longer the map: closed and removed when the last reader is gone. Never rejects: the map is another one by now, whatever becomes of this. */
  async retire(): Promise<void> {
    this.#retired = true;
    await this.#drop();
  }

  /** Whoever reads it loses it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.database.close();
  }

  async #drop(): Promise<void> {
    if (this.#readers > 0) return;
    try {
      await this.close();
      await removeFiles(this.#file);
    } catch (cause) {
      process.emitWarning(
        `${this.#file} is no longer used and could not be removed (${String(cause)}); the next start does`,
      );
    }
  }
}

async function removeFiles(file: string): Promise<void> {
  await fs.promises.rm(file, { force: true });
  await fs.promises.rm(`${file}-lock`, { force: true });
}

function* pairsOf(database: Database, from: Key, to: Key, transaction?: Transaction): Generator<Pair, void> {
  if (from >= to) return;
  // LMDB has no empty keys; nothing sorts before this one.
  const start = from === '' ? '\x00' : from;
  const options = transaction === undefined ? { start, end: to } : { start, end: to, transaction };
  for (const { key, value } of database.getRange(options)) yield [key, value];
}

class LmdbMap implements DurableMap {
  readonly #directory: string;
  #number: number;
  #generation: Generation;
  #committing = false;
  /** When the generations before this one are gone, as far as nobody reads them. */
  #retired: Promise<unknown> = Promise.resolve();
  /** Why it takes nothing more until it is opened again. */
  #failure: CairnError | undefined;

  constructor(directory: string, number: number, generation: Generation) {
    this.#directory = directory;
    this.#number = number;
    this.#generation = generation;
  }

  get(key: Key): Uint8Array | undefined {
    return key === '' ? undefined : this.#generation.database.get(key);
  }

  scan(from: Key, to: Key): Iterable<Pair> {
    return pairsOf(this.#generation.database, from, to);
  }

  async commit(changes: Iterable<Change>): Promise<void> {
    await this.#alone(() => commitTo(this.#generation.database, changes));
  }

  freeze(): Reader & { close(): void } {
    assert(!this.#committing, 'no view is taken while a commit is under way');
    return this.#generation.reader();
  }

  async replace(batches: AsyncIterable<readonly Pair[]>): Promise<void> {
    await this.#alone(async () => {
      await prepare(this.#directory, batches);
      const old = this.#generation;
      try {
        this.#generation = await publish(this.#directory, this.#number + 1);
      } catch (thrown) {
        // The new file may count already; what went to the old one from now on would be lost.
        this.#failure = await mapError('replacing', this.#directory, thrown);
        throw this.#failure;
      }
      this.#number++;
      // Not waited for: the new content is read from now on, so nothing may lie between that and the end of the replacement.
      this.#retired = Promise.all([this.#retired, old.retire()]);
    });
  }

  async close(): Promise<void> {
    await this.#retired;
    await this.#generation.close();
  }

  async #alone(run: () => Promise<void>): Promise<void> {
    assert(!this.#committing, 'one commit at a time');
    if (this.#failure !== undefined) throw this.#failure;
    this.#committing = true;
    try {
      await run();
    } catch (thrown) {
      throw await mapError('writing', this.#directory, thrown);
    } finally {
      this.#committing = false;
    }
  }
}

/** Fills a new file. */
async function load(file: string, batches: AsyncIterable<readonly Pair[]>): Promise<void> {
  const database = openDatabase(file);
  try {
    let waiting: Pair[] = [];
    let bytes = 0;
    for await (const batch of batches) {
      for (const pair of batch) {
        waiting.push(pair);
        bytes += pair[0].length + pair[1].length;
      }
      if (bytes < loadMaxBytes) continue;
      await commitTo(database, waiting);
      waiting = [];
      bytes = 0;
    }
    await commitTo(database, waiting);
  } finally {
    await database.close();
  }
}

async function commitTo(database: Database, changes: Iterable<Change>): Promise<void> {
  const iterator = changes[Symbol.iterator]();
  const committed = await database.childTransaction(async () => {
    while (takeSlice(database, iterator)) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    return true;
  });
  assert(committed === true, 'a transaction that resolves is committed');
}

/** True if there is more. */
function takeSlice(database: Database, changes: Iterator<Change>): boolean {
  const end = performance.now() + sliceMs;
  do {
    for (let i = 0; i < changesPerLook; i++) {
      const step = changes.next();
      if (step.done === true) return false;
      const [key, value] = step.value;
      // Within a transaction of this thread these take effect at once; what they return tells nothing.
      if (value === undefined) void database.remove(key);
      else void database.put(key, value);
    }
  } while (performance.now() < end);
  return true;
}

/** Below this a disk counts as full when LMDB cannot write: it reports a write that was cut short as EIO. */
const fullDiskFreeBytes = 1024 * 1024;

/** @throws CairnError DISK_FULL */
async function mustHaveRoom(directory: string): Promise<void> {
  const { bavail, bsize } = await fs.promises.statfs(directory);
  if (bavail * bsize >= fullDiskFreeBytes) return;
  throw new CairnError('DISK_FULL', `the disk of ${directory} is full: it has less than 1 MiB; free space on it`);
}

/** What LMDB throws, as a CairnError; waits for the cause that it hands in later. */
async function mapError(action: string, directory: string, thrown: unknown): Promise<CairnError> {
  if (thrown instanceof CairnError) return thrown;
  const cause = await laterCause(thrown);
  const what = `${action} of the ordered map in ${directory}`;
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/MDB_(CORRUPTED|PAGE_NOTFOUND|INVALID|VERSION_MISMATCH|PANIC)/.test(message)) {
    return new CairnError('DISK_CORRUPT', `${what} failed: ${message}; ${startEmpty}`, { cause });
  }
  const { bavail, bsize } = await fs.promises.statfs(directory);
  if (/No space left|ENOSPC|quota/i.test(message) || bavail * bsize < fullDiskFreeBytes) {
    return new CairnError('DISK_FULL', `${what} failed: the disk is full (${message}); free space on it`, { cause });
  }
  return diskError(what, cause);
}

/** A failed commit says why through a promise of its own. */
async function laterCause(thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof Error) || !('commitError' in thrown)) return thrown;
  try {
    await thrown.commitError;
    return thrown;
  } catch (cause) {
    return cause;
  }
}
