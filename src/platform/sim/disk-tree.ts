/**
 * The names on a simulated disk. Each directory has the entries that processes see and those that a power loss leaves for
 * sure. Changes of names wait in order until a directory is synced; a rename between two directories is one change, so it
 * is never half done. A power loss keeps a prefix of the changes of each directory, chosen by the seed.
 */
import { CairnError } from '../../core/base/errors.ts';
import { diskError } from './disk-errors.ts';
import type { PagedFile } from './paged-file.ts';
import type { SimRandom } from './random.ts';

export class Directory {
  readonly entries = new Map<string, Entry>();
  readonly durable = new Map<string, Entry>();
}

export type Entry = Directory | PagedFile;

/** One name in one directory; `entry` undefined: the name goes. */
interface Change {
  readonly directory: Directory;
  readonly name: string;
  readonly entry: Entry | undefined;
}

interface PendingOperation {
  readonly sequence: number;
  readonly changes: readonly Change[];
}

interface Place {
  readonly directory: Directory;
  readonly name: string;
}

export class DiskTree {
  readonly root = new Directory();
  #pending: PendingOperation[] = [];
  #sequence = 0;

  find(path: string): Entry | undefined {
    if (path === '' || path === '.') return this.root;
    const place = this.#placeOf(path);
    return place?.directory.entries.get(place.name);
  }

  /** @throws CairnError NOT_FOUND; DISK_FAILED when it is a file */
  directory(path: string): Directory {
    const entry = this.find(path);
    if (entry === undefined) throw diskError('ENOENT', 'search of', path);
    if (!(entry instanceof Directory)) throw diskError('ENOTDIR', 'search of', path);
    return entry;
  }

  /** Gives `entry` this name, which is free. @throws CairnError NOT_FOUND when the parent is missing */
  link(path: string, entry: Entry): void {
    this.#apply([{ ...this.#existingPlace(path), entry }]);
  }

  /** Makes the directory and those above it that are missing. */
  makeDirectory(path: string): void {
    const names = path.split('/');
    for (let depth = 1; depth <= names.length; depth++) {
      const prefix = names.slice(0, depth).join('/');
      const entry = this.find(prefix);
      if (entry === undefined) this.link(prefix, new Directory());
      else if (!(entry instanceof Directory)) throw diskError('EEXIST', 'making of', prefix);
    }
  }

  /** Takes the name of a file or an empty directory away. @returns what it named */
  unlink(path: string): Entry {
    const place = this.#existingPlace(path);
    const entry = place.directory.entries.get(place.name);
    if (entry === undefined) throw diskError('ENOENT', 'removal of', path);
    if (entry instanceof Directory && entry.entries.size > 0) throw diskError('ENOTEMPTY', 'removal of', path);
    this.#apply([{ ...place, entry: undefined }]);
    return entry;
  }

  /** @returns what the target named before, if anything */
  rename(from: string, to: string): Entry | undefined {
    const source = this.#existingPlace(from);
    const target = this.#existingPlace(to);
    const entry = source.directory.entries.get(source.name);
    if (entry === undefined) throw diskError('ENOENT', 'rename of', from);
    const replaced = target.directory.entries.get(target.name);
    if (replaced === entry) return undefined;
    if (replaced !== undefined) mustBeReplaceable(entry, replaced, to);
    this.#apply([
      { ...source, entry: undefined },
      { ...target, entry },
    ]);
    return replaced;
  }

  /** What has been done up to now, for `sync`. */
  get position(): number {
    return this.#sequence;
  }

  /** Makes the changes of this directory durable that had been made at `position`, and all that those hang on. */
  sync(directory: Directory, position: number): void {
    const wanted = new Set([directory]);
    const chosen = new Set<PendingOperation>();
    for (const operation of this.#pending.filter(({ sequence }) => sequence <= position).reverse()) {
      if (!operation.changes.some((change) => wanted.has(change.directory))) continue;
      chosen.add(operation);
      for (const change of operation.changes) wanted.add(change.directory);
    }
    for (const operation of this.#pending) if (chosen.has(operation)) makeDurable(operation);
    this.#pending = this.#pending.filter((operation) => !chosen.has(operation));
  }

  losePower(random: SimRandom): void {
    const survival = random.pick([0, 1, random.next()]);
    const cut = new Set<Directory>();
    for (const operation of this.#pending) {
      const isCut = operation.changes.some(({ directory }) => cut.has(directory));
      if (!isCut && random.chance(survival)) makeDurable(operation);
      else for (const { directory } of operation.changes) cut.add(directory);
    }
    this.#pending = [];
    forget(this.root);
  }

  /** Nothing is there any more, and nothing comes back. */
  replace(): void {
    this.#pending = [];
    this.root.entries.clear();
    this.root.durable.clear();
  }

  /** All files with their paths, in order of the paths' names per directory. */
  *files(directory: Directory = this.root, prefix = ''): Generator<readonly [string, PagedFile]> {
    for (const name of [...directory.entries.keys()].sort()) {
      const entry = directory.entries.get(name)!;
      if (entry instanceof Directory) yield* this.files(entry, `${prefix}${name}/`);
      else yield [prefix + name, entry];
    }
  }

  #apply(changes: readonly Change[]): void {
    this.#sequence += 1;
    this.#pending.push({ sequence: this.#sequence, changes });
    for (const { directory, name, entry } of changes) setEntry(directory.entries, name, entry);
  }

  #existingPlace(path: string): Place {
    const place = this.#placeOf(path);
    if (place === undefined) throw diskError('ENOENT', 'search of', path);
    return place;
  }

  #placeOf(path: string): Place | undefined {
    const names = path.split('/');
    if (path.includes('\0') || names.some((name) => name === '' || name === '.' || name === '..')) {
      throw new CairnError('INVALID_ARGUMENT', `${JSON.stringify(path)} is not a path below the disk's root`);
    }
    let directory = this.root;
    for (const name of names.slice(0, -1)) {
      const next = directory.entries.get(name);
      if (next === undefined) return undefined;
      if (!(next instanceof Directory)) throw diskError('ENOTDIR', 'search of', path);
      directory = next;
    }
    return { directory, name: names.at(-1)! };
  }
}

function mustBeReplaceable(entry: Entry, replaced: Entry, path: string): void {
  if (replaced instanceof Directory !== entry instanceof Directory) {
    throw diskError(replaced instanceof Directory ? 'EISDIR' : 'ENOTDIR', 'rename to', path);
  }
  if (replaced instanceof Directory && replaced.entries.size > 0) throw diskError('ENOTEMPTY', 'rename to', path);
}

function makeDurable(operation: PendingOperation): void {
  for (const { directory, name, entry } of operation.changes) setEntry(directory.durable, name, entry);
}

function setEntry(entries: Map<string, Entry>, name: string, entry: Entry | undefined): void {
  if (entry === undefined) entries.delete(name);
  else entries.set(name, entry);
}

/** Only what is durable is left. */
function forget(directory: Directory): void {
  directory.entries.clear();
  for (const [name, entry] of directory.durable) {
    directory.entries.set(name, entry);
    if (entry instanceof Directory) forget(entry);
  }
}
