/**
 * The content of one file on a simulated disk: what processes see, and what the platter surely holds.
 *
 * Pages are sparse. A page that has been written since it was last durable has a *shadow*: its durable content. A power
 * loss chooses, sector by sector, between the two. A sync makes durable what had been written when it *began*; pages that
 * are written again while it runs keep the content of that moment for it.
 * Invariant: a page without a shadow is durable as it is.
 */
import type { SimRandom } from './random.ts';

export const pageBytes = 16_384;

/** undefined: a hole, all zeros. */
type Page = Uint8Array | undefined;

interface Shadow {
  durable: Page;
  /** The write after which `durable` was true. */
  durableAt: number;
  /** False after a failed sync: the cache thinks the page clean, and no later sync will write it (fsyncgate). */
  isDirty: boolean;
}

/** A sync under way. */
export interface SyncToken {
  readonly begunAt: number;
  readonly sizeBytes: number;
  /** The pages that were dirty when it began, with their content of that moment where they changed since. */
  readonly pages: Set<number>;
  readonly saved: Map<number, Page>;
}

/** Counts the pages of the files of a disk that take room there. */
export interface PageMeter {
  pages: number;
}

type Fate = 'nothing' | 'everything' | 'some';

export class PagedFile {
  /** Kept by the disk, which gives the room back when both say that nobody refers to the file. */
  openCount = 0;
  isUnlinked = false;
  readonly #random: SimRandom;
  readonly #shadows = new Map<number, Shadow>();
  readonly #syncs = new Set<SyncToken>();
  #meter: PageMeter | undefined;
  #pages: Page[] = [];
  #pageCount = 0;
  #sizeBytes = 0;
  #durableBytes = 0;
  #durableSizeAt = 0;
  #writes = 0;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The size that survives a power loss at the least. */
  get durableBytes(): number {
    return this.#durableBytes;
  }

  read(offset: number, into: Uint8Array): number {
    return this.#copyOut(offset, into, this.#sizeBytes, (number) => this.#pages[number]);
  }

  /** The same of what is surely on the platter. */
  readDurable(offset: number, into: Uint8Array): number {
    return this.#copyOut(offset, into, this.#durableBytes, (number) => this.#durablePage(number));
  }

  /** How many new pages a write here would take. */
  newPages(offset: number, bytes: number): number {
    let missing = 0;
    const end = pageOf(offset + bytes - 1);
    for (let number = pageOf(offset); number <= end; number++) if (this.#pages[number] === undefined) missing += 1;
    return missing;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#writes += 1;
    let done = 0;
    while (done < bytes.length) {
      const number = pageOf(offset + done);
      const start = (offset + done) % pageBytes;
      const count = Math.min(pageBytes - start, bytes.length - done);
      this.#pageToWrite(number, count === pageBytes).set(bytes.subarray(done, done + count), start);
      done += count;
    }
    this.#sizeBytes = Math.max(this.#sizeBytes, offset + bytes.length);
  }

  truncate(sizeBytes: number): void {
    this.#writes += 1;
    const keep = Math.ceil(sizeBytes / pageBytes);
    for (let number = this.#pages.length - 1; number >= keep; number--) this.#drop(number);
    const tail = sizeBytes % pageBytes;
    if (tail > 0 && sizeBytes < this.#sizeBytes && this.#pages[keep - 1] !== undefined) {
      this.#pageToWrite(keep - 1, false).fill(0, tail);
    }
    this.#sizeBytes = sizeBytes;
  }

  beginSync(): SyncToken {
    const pages = new Set<number>();
    for (const [number, shadow] of this.#shadows) if (shadow.isDirty) pages.add(number);
    const token = { begunAt: this.#writes, sizeBytes: this.#sizeBytes, pages, saved: new Map<number, Page>() };
    this.#syncs.add(token);
    return token;
  }

  /** The sync never happened: the process that waited for it is gone. */
  dropSync(token: SyncToken): void {
    this.#syncs.delete(token);
  }

  finishSync(token: SyncToken): void {
    this.#syncs.delete(token);
    for (const number of token.pages) this.#makeDurable(number, token);
    if (token.begunAt < this.#durableSizeAt) return;
    this.#durableBytes = token.sizeBytes;
    this.#durableSizeAt = token.begunAt;
  }

  /** Some pages made it to the platter; those that did not look clean from now on. */
  failSync(token: SyncToken): void {
    this.#syncs.delete(token);
    for (const number of token.pages) {
      if (this.#random.chance(0.5)) this.#makeDurable(number, token);
      else {
        const shadow = this.#shadows.get(number);
        if (shadow !== undefined && !token.saved.has(number)) shadow.isDirty = false;
      }
    }
  }

  /** Decays on the platter and in the cache alike. @param bit 0 … 7 */
  flipBit(offset: number, bit: number): void {
    const number = pageOf(offset);
    const at = offset % pageBytes;
    for (const page of new Set([this.#pages[number], this.#shadows.get(number)?.durable])) {
      if (page !== undefined) page[at] = page[at]! ^ (1 << bit);
    }
  }

  /** The machine lost power: of what was not durable, the seed says what is left. */
  losePower(): void {
    this.#syncs.clear();
    const fate = this.#random.pick<Fate>(['nothing', 'everything', 'some', 'some']);
    const sectorBytes = this.#random.pick([512, 4096]);
    const survival = fate === 'nothing' ? 0 : fate === 'everything' ? 1 : this.#random.next();
    for (const [number, shadow] of this.#shadows) {
      this.#setPage(number, this.#surviving(number, shadow, sectorBytes, survival));
    }
    this.#shadows.clear();
    this.#settleSize(fate);
  }

  /** From here on its pages count against the disk's room. */
  attach(meter: PageMeter): void {
    this.#meter = meter;
    meter.pages += this.#pageCount;
  }

  /** Its room is free again: no name and no open file refers to it. (A power loss may bring the name back.) */
  detach(): void {
    if (this.#meter !== undefined) this.#meter.pages -= this.#pageCount;
    this.#meter = undefined;
  }

  #copyOut(offset: number, into: Uint8Array, sizeBytes: number, pageAt: (number: number) => Page): number {
    const total = Math.max(0, Math.min(into.length, sizeBytes - offset));
    let done = 0;
    while (done < total) {
      const start = (offset + done) % pageBytes;
      const count = Math.min(pageBytes - start, total - done);
      const page = pageAt(pageOf(offset + done));
      if (page === undefined) into.fill(0, done, done + count);
      else into.set(page.subarray(start, start + count), done);
      done += count;
    }
    return total;
  }

  #durablePage(number: number): Page {
    const shadow = this.#shadows.get(number);
    return shadow === undefined ? this.#pages[number] : shadow.durable;
  }

  /** The page, ready to be changed: its content is kept wherever it is still needed. */
  #pageToWrite(number: number, isWhole: boolean): Uint8Array {
    const before = this.#pages[number];
    const isNeeded = this.#keepBefore(number, before);
    if (before !== undefined && !isNeeded) return before;
    const page = before === undefined || isWhole ? new Uint8Array(pageBytes) : before.slice();
    this.#setPage(number, page);
    return page;
  }

  /** @returns whether `before` itself was kept, so that the change needs a page of its own. */
  #keepBefore(number: number, before: Page): boolean {
    let isKept = false;
    for (const sync of this.#syncs) {
      if (!sync.pages.has(number) || sync.saved.has(number)) continue;
      sync.saved.set(number, before);
      isKept = true;
    }
    const shadow = this.#shadows.get(number);
    if (shadow === undefined) {
      this.#shadows.set(number, { durable: before, durableAt: this.#writes - 1, isDirty: true });
      return true;
    }
    // A dirty page may be written back at any time: now and then it was, just before this write.
    if (shadow.isDirty && this.#random.chance(1 / 16)) {
      shadow.durable = before;
      shadow.durableAt = this.#writes - 1;
      isKept = true;
    }
    shadow.isDirty = true;
    return isKept;
  }

  #makeDurable(number: number, token: SyncToken): void {
    const shadow = this.#shadows.get(number);
    if (shadow === undefined || shadow.durableAt > token.begunAt) return;
    if (token.saved.has(number)) {
      shadow.durable = token.saved.get(number);
      shadow.durableAt = token.begunAt;
    } else this.#shadows.delete(number);
  }

  #drop(number: number): void {
    const before = this.#pages[number];
    if (before === undefined) return;
    this.#keepBefore(number, before);
    this.#setPage(number, undefined);
  }

  #setPage(number: number, page: Page): void {
    const growth = Number(page !== undefined) - Number(this.#pages[number] !== undefined);
    this.#pageCount += growth;
    if (this.#meter !== undefined) this.#meter.pages += growth;
    while (this.#pages.length < number) this.#pages.push(undefined);
    this.#pages[number] = page;
  }

  #surviving(number: number, shadow: Shadow, sectorBytes: number, survival: number): Page {
    const cached = this.#pages[number];
    if (survival === 0 || !shadow.isDirty) return shadow.durable;
    if (survival === 1) return cached;
    // A page that was cut off is gone with the size or is there as it was: a truncate is never half done.
    if (cached === undefined) return shadow.durable;
    const out = shadow.durable?.slice() ?? new Uint8Array(pageBytes);
    for (let at = 0; at < pageBytes; at += sectorBytes) {
      if (this.#random.chance(survival)) out.set(cached.subarray(at, at + sectorBytes), at);
    }
    return out;
  }

  #settleSize(fate: Fate): void {
    const low = Math.min(this.#durableBytes, this.#sizeBytes);
    const high = Math.max(this.#durableBytes, this.#sizeBytes);
    const either = [this.#durableBytes, this.#sizeBytes];
    const possible = fate === 'some' ? [...either, this.#random.between(low, high)] : either;
    const size = fate === 'nothing' ? either[0]! : fate === 'everything' ? either[1]! : this.#random.pick(possible);
    this.#sizeBytes = high;
    this.truncate(size);
    this.#shadows.clear();
    this.#durableBytes = size;
    this.#durableSizeAt = this.#writes;
  }
}

function pageOf(offset: number): number {
  return Math.floor(offset / pageBytes);
}
