/**
 * Slabs: files of equal slots that small chunks live in, so that a chunk of 4 KiB costs no file of its own. Owns which slots are
 * taken. What a slot holds means nothing by itself; the metadata says which chunk is in it, and how long that is.
 *
 * A slot that a chunk has left is taken again only when no checkpoint that a start could go back to knows the chunk there.
 */
import { assert } from '../../../core/base/assert.ts';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import { handleOfName, type Layout } from './layout.ts';
import type { OpenFiles } from './open-files.ts';

/** Where a small chunk lives. */
export interface Slot {
  readonly slab: number;
  readonly index: number;
}

const slotMinBytes = 4096;
const sizes = 5;
/** The low digit of a slab's number says how large its slots are. */
const numbersPerSize = 8;
/** A slab that is looked through chunk by chunk is opened anew so seldom; where there is only one, each round finds it gone. */
const reopenAfterMs = 60_000;
/** Longer chunks have a file of their own. */
export const slotMaxBytes = slotMinBytes << (sizes - 1);

export function slotBytesOf({ slab }: Slot): number {
  return slotMinBytes << (slab % numbersPerSize);
}

function sizeFor(lengthBytes: number): number {
  let size = 0;
  while (slotMinBytes << size < lengthBytes) size++;
  assert(size < sizes, 'what goes to a slot is small', { lengthBytes });
  return size;
}

interface Slab {
  readonly number: number;
  /** The next one to take at the end. */
  readonly free: number[];
  taken: number;
}

export class Slabs {
  readonly #env: Env;
  readonly #layout: Layout;
  readonly #slabBytes: number;
  readonly #files: OpenFiles;
  readonly #slabs = new Map<number, Slab>();
  /** By size of slot, those with free slots, ascending by number: the first is filled first, so that the last ones empty. */
  readonly #roomy: Slab[][] = Array.from({ length: sizes }, () => []);
  /** Left since the last checkpoint began. */
  #left: Slot[] = [];
  #leftBytes = 0;
  #taken = 0;
  #unsynced = new Set<number>();
  #syncing: Promise<void> | undefined;
  #hasUnsyncedNames = false;
  #next = 1;
  #reopened: { readonly slab: number; readonly at: number } | undefined;

  constructor(env: Env, layout: Layout, slabBytes: number, files: OpenFiles) {
    const slotsMax = slabBytes / slotMinBytes;
    assert(slabBytes >= slotMaxBytes && slotsMax <= 0x1_0000, 'a slab has a slot of each size, of none too many', {
      slabBytes,
    });
    this.#env = env;
    this.#layout = layout;
    this.#slabBytes = slabBytes;
    this.#files = files;
  }

  /** Finds the slabs that are there; what is taken in them is told next. */
  async load(): Promise<void> {
    for (const name of await this.#env.disk.list(this.#layout.slabs)) {
      const number = handleOfName(name);
      if (number === undefined || number % numbersPerSize >= sizes) {
        this.#env.events.emit('warn', 'chunk-foreign-file', { path: `${this.#layout.slabs}/${name}` });
        continue;
      }
      this.#slabs.set(number, { number, free: [], taken: 0 });
      // The run that made it may have ended before its name was synced.
      this.#hasUnsyncedNames = true;
      this.#passOver(number);
    }
  }

  has({ slab }: Slot): boolean {
    return this.#slabs.has(slab);
  }

  /** After `load`: these slots are taken, and all others free. Slots of slabs that are not there are passed over. */
  take(slots: Iterable<Slot>): void {
    const taken = new Map<number, Set<number>>();
    for (const { slab, index } of slots) {
      if (!this.#slabs.has(slab)) {
        // An empty chunk is not lost with it: another slab of this number would have its slot free.
        this.#passOver(slab);
        continue;
      }
      const own = taken.get(slab) ?? new Set();
      assert(!own.has(index), 'a slot has one chunk', { slab, index });
      taken.set(slab, own.add(index));
    }
    for (const slab of [...this.#slabs.values()].sort((a, b) => a.number - b.number)) {
      this.#fillUp(slab, taken.get(slab.number) ?? new Set());
    }
  }

  /** A free slot for a chunk that is to be so long. */
  allocate(lengthBytes: number): Slot {
    const size = sizeFor(lengthBytes);
    const slab = this.#roomySlab(size) ?? this.#make(size);
    const index = slab.free.pop();
    assert(index !== undefined, 'a slab with room has a free slot', { slab: slab.number });
    slab.taken++;
    this.#taken++;
    if (slab.free.length === 0) this.#roomy[size]!.shift();
    return { slab: slab.number, index };
  }

  /** The chunk is not there any more; the next checkpoint says so. */
  leave(slot: Slot): void {
    this.#left.push(slot);
    this.#leftBytes += slotBytesOf(slot);
  }

  /** The next checkpoint makes so much room. */
  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** So many slots were taken since the last checkpoint began. */
  get taken(): number {
    return this.#taken;
  }

  /** For use within this turn. @throws CairnError NOT_FOUND when the slab is gone */
  fileOf(slot: Slot): DiskFile {
    return this.#files.open(keyOf(slot.slab), () => this.#open(slot.slab)).file;
  }

  /** Opens the slab that has the name now, unless it is in use. Of neighbours that ask one after another only the first does, for a while. */
  reopen({ slab }: Slot): void {
    const at = this.#env.clock.now();
    if (this.#reopened?.slab === slab && at - this.#reopened.at < reopenAfterMs) return;
    this.#reopened = { slab, at };
    this.#files.closeIdle(keyOf(slab));
  }

  /** A write was made to the slot, by this run or by one whose sync may not have come. */
  written({ slab }: Slot): void {
    this.#unsynced.add(slab);
  }

  /**
   * What was written before the call is durable when it resolves. After a failure nobody knows what of it is on the disk: whoever waits for one that
   * fails fails with it.
   */
  async sync(): Promise<void> {
    while (this.#syncing !== undefined) await this.#syncing;
    const slabs = this.#unsynced;
    this.#unsynced = new Set();
    this.#syncing = this.#syncAll(slabs);
    try {
      await this.#syncing;
    } finally {
      this.#syncing = undefined;
    }
  }

  async #syncAll(slabs: Iterable<number>): Promise<void> {
    for (const slab of slabs) {
      if (!this.#slabs.has(slab)) continue; // it has become empty meanwhile, and gone
      await this.#files.hold(
        keyOf(slab),
        () => this.#open(slab),
        (file) => file.sync(),
      );
    }
  }

  /** The same for the names of slabs. */
  async syncNames(): Promise<void> {
    if (!this.#hasUnsyncedNames) return;
    this.#hasUnsyncedNames = false;
    try {
      await this.#env.disk.syncDirectory(this.#layout.slabs);
    } catch (thrown) {
      this.#hasUnsyncedNames = true;
      throw thrown;
    }
  }

  /** A checkpoint begins: which slots nobody will be known in when it is done. */
  takeLeft(): readonly Slot[] {
    const left = this.#left;
    this.#left = [];
    this.#leftBytes = 0;
    this.#taken = 0;
    return left;
  }

  /** It has failed: they wait for the next one. */
  giveBack(left: readonly Slot[]): void {
    for (const slot of left) this.leave(slot);
  }

  /** It is done, and no start goes back behind it. */
  async release(left: readonly Slot[]): Promise<void> {
    for (const { slab: number, index } of left) {
      const slab = this.#slabs.get(number);
      if (slab === undefined) continue;
      slab.free.push(index);
      slab.taken--;
      if (slab.free.length === 1) this.#addRoomy(slab);
    }
    await this.removeSpares();
  }

  /** Slabs that are empty go away, save one of each size. */
  async removeSpares(): Promise<void> {
    const empty = [...this.#slabs.values()].filter(({ taken }) => taken === 0);
    for (const slab of empty) await this.#removeIfSpare(slab);
  }

  /** No slab is made with this number. */
  #passOver(number: number): void {
    this.#next = Math.max(this.#next, Math.floor(number / numbersPerSize) + 1);
  }

  #fillUp(slab: Slab, taken: ReadonlySet<number>): void {
    slab.taken = taken.size;
    const slots = Math.floor(this.#slabBytes / (slotMinBytes << (slab.number % numbersPerSize)));
    for (let index = slots - 1; index >= 0; index--) if (!taken.has(index)) slab.free.push(index);
    if (slab.free.length > 0) this.#addRoomy(slab);
  }

  #addRoomy(slab: Slab): void {
    const roomy = this.#roomy[slab.number % numbersPerSize]!;
    let at = roomy.length;
    while (at > 0 && roomy[at - 1]!.number > slab.number) at--;
    roomy.splice(at, 0, slab);
  }

  /** Passes over slabs that somebody has taken away. */
  #roomySlab(size: number): Slab | undefined {
    for (;;) {
      const slab = this.#roomy[size]![0];
      if (slab === undefined) return undefined;
      try {
        this.fileOf({ slab: slab.number, index: 0 });
        return slab;
      } catch (thrown) {
        if (toCairnError(thrown).code !== 'NOT_FOUND') throw thrown;
        this.#roomy[size]!.shift();
        this.#env.events.emit('error', 'chunk-slab-missing', { path: this.#pathOf(slab.number) });
      }
    }
  }

  #make(size: number): Slab {
    const number = this.#next * numbersPerSize + size;
    this.#files.open(keyOf(number), () => this.#env.disk.openNow(this.#pathOf(number), 'create'));
    this.#next++;
    this.#hasUnsyncedNames = true;
    const slab = { number, free: [], taken: 0 };
    this.#slabs.set(number, slab);
    this.#fillUp(slab, new Set());
    return slab;
  }

  async #removeIfSpare(slab: Slab): Promise<void> {
    const roomy = this.#roomy[slab.number % numbersPerSize]!;
    const at = roomy.indexOf(slab);
    const isGone = at < 0; // somebody has taken it away
    if (slab.taken > 0 || (!isGone && roomy.length === 1)) return;
    this.#slabs.delete(slab.number);
    this.#unsynced.delete(slab.number);
    this.#files.dismiss(keyOf(slab.number));
    if (isGone) return;
    roomy.splice(at, 1);
    await this.#env.disk.remove(this.#pathOf(slab.number));
  }

  #open(slab: number): DiskFile {
    return this.#env.disk.openNow(this.#pathOf(slab), 'write');
  }

  #pathOf(slab: number): string {
    return `${this.#layout.slabs}/${slab.toString(16).padStart(16, '0')}`;
  }
}

/** Among the open files; those of chunks go by their handles. */
function keyOf(slab: number): number {
  return -slab;
}
