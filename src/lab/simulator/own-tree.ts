/**
 * What a client knows of the directory that is its own. After a call whose fate is unknown the paths it touched are in doubt: they may be
 * there or not, with any content, and are never used again; everything else is exact. Of a file that was to be changed in part, and of one that was
 * renamed, it is known what may have become of it.
 */
import type { Durability } from '../../core/protocol/types.ts';
import type { SimRandom } from '../../platform/sim/random.ts';
import { mustHold } from './violation.ts';

export interface OwnFile {
  readonly kind: 'file';
  readonly bytes: Uint8Array;
  readonly durability: Durability;
}
export type OwnItem = OwnFile | { readonly kind: 'directory' };

/** A rename whose fate is unknown: what was known is at exactly one of the two places. */
interface DoubtfulRename {
  readonly from: string;
  readonly to: string;
  readonly item: OwnItem;
}

/** A change of a file's bytes whose fate is unknown: each byte is as before or as it was to be. */
interface DoubtfulChange {
  readonly path: string;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export class OwnTree {
  readonly root: string;
  readonly doubtfulChanges: DoubtfulChange[] = [];
  readonly doubtfulRenames: DoubtfulRename[] = [];
  readonly #items = new Map<string, OwnItem>();
  readonly #doubts = new Set<string>();
  #names = 0;

  constructor(root: string) {
    this.root = root;
    this.#items.set(root, { kind: 'directory' });
  }

  get size(): number {
    return this.#items.size;
  }
  /** Everything that is known, parents first. */
  get items(): ReadonlyMap<string, OwnItem> {
    return this.#items;
  }

  file(path: string): OwnFile {
    const item = this.#items.get(path);
    mustHold(item?.kind === 'file', () => `${path} is known as a file`);
    return item;
  }
  put(path: string, item: OwnItem): void {
    this.#items.set(path, item);
  }
  /** With all below. */
  remove(path: string): void {
    for (const known of this.#below(path)) this.#items.delete(known);
  }
  rename(from: string, to: string): void {
    this.remove(to);
    const moved = this.#below(from).map((path) => [to + path.slice(from.length), this.#items.get(path)!] as const);
    this.remove(from);
    for (const [path, item] of moved) this.#items.set(path, item);
    for (const doubt of [...this.#doubts])
      if (isBelow(doubt, from)) {
        this.#doubts.delete(doubt);
        this.#doubts.add(to + doubt.slice(from.length));
      }
    const goes = (path: string) => (isBelow(path, from) ? to + path.slice(from.length) : path);
    for (const [at, doubtful] of this.doubtfulRenames.entries())
      this.doubtfulRenames[at] = { ...doubtful, from: goes(doubtful.from), to: goes(doubtful.to) };
    for (const [at, doubtful] of this.doubtfulChanges.entries())
      this.doubtfulChanges[at] = { ...doubtful, path: goes(doubtful.path) };
  }

  /** With all below; of which everything is known. */
  copy(from: string, to: string): void {
    for (const path of this.#below(from)) this.#items.set(to + path.slice(from.length), this.#items.get(path)!);
  }
  /** Nothing at it or below it is in doubt. */
  isCertain(path: string): boolean {
    return ![...this.#doubts].some((doubt) => isBelow(doubt, path));
  }

  doubt(path: string): void {
    this.remove(path);
    this.#doubts.add(path);
  }
  doubtChange(path: string, after: Uint8Array): void {
    const before = this.file(path).bytes;
    this.doubt(path);
    this.doubtfulChanges.push({ path, before, after });
  }
  doubtRename(from: string, to: string): void {
    const item = this.#items.get(from)!;
    // Only a file at a place that was free: a directory may hold doubts of its own.
    const isPlain = item.kind === 'file' && !this.#items.has(to);
    this.doubt(from);
    this.doubt(to);
    if (isPlain) this.doubtfulRenames.push({ from, to, item });
  }

  /** A name that was never used, in a directory that is known. */
  freshPath(random: SimRandom): string {
    return `${this.pickDirectory(random)}/n${++this.#names}`;
  }
  pickDirectory(random: SimRandom): string {
    return random.pick([...this.#items].filter(([, item]) => item.kind === 'directory').map(([path]) => path));
  }
  pickFile(random: SimRandom): string | undefined {
    const files = [...this.#items].filter(([, item]) => item.kind === 'file').map(([path]) => path);
    return files.length === 0 ? undefined : random.pick(files);
  }
  /** Anything but the root. */
  pickItem(random: SimRandom): string | undefined {
    const paths = [...this.#items.keys()].filter((path) => path !== this.root);
    return paths.length === 0 ? undefined : random.pick(paths);
  }

  /** @throws Violation if a listing of a known directory cannot be */
  checkListing(directory: string, names: readonly string[]): void {
    const listed = new Set(names);
    mustHold(listed.size === names.length, () => `${directory}: a name is listed twice: ${names.join(' ')}`);
    for (const name of this.childrenOf(directory))
      mustHold(listed.delete(name), () => `${directory}: ${name} is missing from its listing: ${names.join(' ')}`);
    for (const name of listed)
      mustHold(this.#doubts.has(`${directory}/${name}`), () => `${directory}: ${name} is listed and was removed`);
  }

  childrenOf(directory: string): readonly string[] {
    const prefix = `${directory}/`;
    return [...this.#items.keys()]
      .filter((path) => path.startsWith(prefix) && !path.includes('/', prefix.length))
      .map((path) => path.slice(prefix.length));
  }
  /** Nothing is in it, for sure. */
  isEmpty(directory: string): boolean {
    return ![...this.#items.keys(), ...this.#doubts].some((path) => path.startsWith(`${directory}/`));
  }

  #below(path: string): string[] {
    return [...this.#items.keys()].filter((known) => isBelow(known, path));
  }
}

function isBelow(path: string, top: string): boolean {
  return path === top || path.startsWith(`${top}/`);
}
