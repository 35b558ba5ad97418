/**
 * Directories that are in use, as objects: a path leads through the same few again and again, and whatever is made or removed changes the one
 * that holds it. What has only changed in number of entries and time of change is not in the store until `save`, like the counters: a thousand
 * creates in one directory are one change of its record. Owns the difference; `directoriesKept` records are kept, and let go of together. Looking
 * writes nothing: what is unsaved stays until a change makes it too much, or all is saved.
 */
import type { InodeId } from '../../../core/base/brand.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import * as keys from './keys.ts';
import { type DirectoryInode, type Dirent, encodeInode } from './records.ts';

/** Directories that are newer than in the store, others, and entries that lead to directories. */
export const directoriesKept = 1024;

export class DirectoryCache {
  readonly #store: OrderedStore;
  readonly #inodes = new Map<InodeId, DirectoryInode>();
  /** Those of them that are newer than what the store has. */
  readonly #unsaved = new Set<InodeId>();
  readonly #entries = new Map<InodeId, Map<string, Dirent>>();
  #entriesKept = 0;

  constructor(store: OrderedStore) {
    this.#store = store;
  }

  inode(id: InodeId): DirectoryInode | undefined {
    return this.#inodes.get(id);
  }

  /** As it is in the store. */
  note(id: InodeId, inode: DirectoryInode): void {
    this.#unsaved.delete(id);
    this.#keep(id, inode);
  }

  /** Newer than what the store has. */
  change(id: InodeId, inode: DirectoryInode): void {
    if (this.#unsaved.size >= directoriesKept) this.save();
    this.#unsaved.add(id);
    this.#keep(id, inode);
  }

  forget(id: InodeId): void {
    this.#inodes.delete(id);
    this.#unsaved.delete(id);
  }

  /** Puts into the store what is newer than it. */
  save(): void {
    for (const id of this.#unsaved) this.#store.put(keys.inodeKey(id), encodeInode(this.#inodes.get(id)!));
    this.#unsaved.clear();
  }

  #keep(id: InodeId, inode: DirectoryInode): void {
    if (this.#inodes.size >= 2 * directoriesKept && !this.#inodes.has(id))
      for (const known of this.#inodes.keys()) if (!this.#unsaved.has(known)) this.#inodes.delete(known);
    this.#inodes.set(id, inode);
  }

  /** The entry, if it is known to lead to a directory. */
  entry(directory: InodeId, name: string): Dirent | undefined {
    return this.#entries.get(directory)?.get(name);
  }

  /** What the store has there now; undefined: nothing. */
  noteEntry(directory: InodeId, name: string, dirent: Dirent | undefined): void {
    let names = this.#entries.get(directory);
    if (dirent?.kind !== 'directory') {
      names?.delete(name);
      return;
    }
    if (this.#entriesKept >= directoriesKept) {
      this.#entries.clear();
      this.#entriesKept = 0;
      names = undefined;
    }
    if (names === undefined) {
      names = new Map();
      this.#entries.set(directory, names);
    }
    names.set(name, dirent);
    this.#entriesKept += 1;
  }
}
