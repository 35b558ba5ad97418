/**
 * Keys of the metadata tables. The first byte says which table; identifiers follow as one byte that counts their bytes, then these
 * bytes, high first, so that the order of keys is the order of numbers. The whole format is in docs/formats/metadata.md.
 */
import { assert } from '../../../core/base/assert.ts';
import {
  type ChunkHandle,
  type InodeId,
  type ServerId,
  toChunkHandle,
  toChunkIndex,
  toInodeId,
  toServerId,
} from '../../../core/base/brand.ts';
import { fromUtf8, toUtf8 } from '../../../core/base/bytes.ts';
import type { Key } from '../../storage/ordered-store.ts';

export const identityKey: Key = 'a';
export const countersKey: Key = 'b';
export const loadsKey: Key = 'e';
export const openTable = { from: 'o', to: 'p' } as const;
export const chunkTable = { from: 'c', to: 'd' } as const;
export const detachedTable = { from: 't', to: 'u' } as const;
export const masterTable = { from: 'm', to: 'n' } as const;
export const serverTable = { from: 's', to: 't' } as const;

/** Greater than any byte that follows an identifier within one table: a name is UTF-8, a length is at most 7. */
export const afterAll = '\u00ff';

/** 1 … 7 bytes after the one that counts them. */
export function idKey(id: number): Key {
  if (id < 0x100) return String.fromCharCode(1, id);
  if (id < 0x1_0000) return String.fromCharCode(2, id >>> 8, id & 0xff);
  if (id < 0x100_0000) return String.fromCharCode(3, id >>> 16, (id >>> 8) & 0xff, id & 0xff);
  if (id < 0x1_0000_0000) return String.fromCharCode(4, id >>> 24, (id >>> 16) & 0xff, (id >>> 8) & 0xff, id & 0xff);
  let rest = id;
  let bytes = '';
  while (rest > 0) {
    bytes = String.fromCharCode(rest % 0x100) + bytes;
    rest = Math.floor(rest / 0x100);
  }
  return String.fromCharCode(bytes.length) + bytes;
}

function readId(key: Key, at: number): number {
  const bytes = key.charCodeAt(at);
  assert(bytes >= 1 && bytes <= 7 && key.length > at + bytes, 'a key holds a whole identifier', { at, bytes });
  let id = 0;
  for (let i = 1; i <= bytes; i++) id = id * 0x100 + key.charCodeAt(at + i);
  return id;
}

export function inodeKey(inode: InodeId): Key {
  return `i${idKey(inode)}`;
}

export function chunkKey(handle: ChunkHandle): Key {
  return `c${idKey(handle)}`;
}
export function handleOfKey(key: Key): ChunkHandle {
  return toChunkHandle(readId(key, 1));
}

/** A chunk that has a lease out. */
export function openKey(handle: ChunkHandle): Key {
  return `o${idKey(handle)}`;
}

/** A file that shares a chunk with the one in the chunk's record. */
export function sharerKey(handle: ChunkHandle, inode: InodeId): Key {
  return `r${idKey(handle)}${idKey(inode)}`;
}
export function sharerRange(handle: ChunkHandle): { readonly from: Key; readonly to: Key } {
  const prefix = `r${idKey(handle)}`;
  return { from: prefix, to: prefix + afterAll };
}
export function sharerOfKey(key: Key): InodeId {
  return toInodeId(readId(key, 2 + key.charCodeAt(1)));
}

/** By configured id. */
export function masterKey(id: number): Key {
  return `m${idKey(id)}`;
}
export function masterOfKey(key: Key): number {
  return readId(key, 1);
}
/** Where something in the trash was. */
export function trashedKey(inode: InodeId): Key {
  return `g${idKey(inode)}`;
}

/** What a directory or list is still being laid out as a copy of. */
export function copyKey(target: number): Key {
  return `z${idKey(target)}`;
}
export const copyTable = { from: 'z', to: '{' } as const;
export function targetOfKey(key: Key): number {
  return readId(key, 1);
}
/** A copy of a directory or list that is still being laid out. */
export function copiesKey(origin: number, target: number): Key {
  return `y${idKey(origin)}${idKey(target)}`;
}
export function copiesRange(origin: number): { readonly from: Key; readonly to: Key } {
  const prefix = `y${idKey(origin)}`;
  return { from: prefix, to: prefix + afterAll };
}
export function copyOfKey(key: Key): number {
  return readId(key, 2 + key.charCodeAt(1));
}
/** An entry beyond the cursor of a copy that is its own already. `at`: what stands behind the identifier in the entry's key. */
export function decidedKey(target: number, at: Key): Key {
  return `x${idKey(target)}${at}`;
}
/** Those behind `after`; '' for all. */
export function decidedRange(target: number, after: Key): { readonly from: Key; readonly to: Key } {
  const prefix = decidedKey(target, '');
  return { from: after === '' ? prefix : `${prefix}${after}\u0000`, to: prefix + afterAll };
}
/** Entries of a directory, or of a list, behind `at`. */
export function entryKey(kind: 'tree' | 'chunks', container: number, at: Key): Key {
  return `${kind === 'tree' ? 'd' : 'f'}${idKey(container)}${at}`;
}
export function entryRange(kind: 'tree' | 'chunks', container: number, after: Key): { from: Key; to: Key } {
  const prefix = entryKey(kind, container, '');
  return { from: after === '' ? prefix : `${prefix}${after}\u0000`, to: prefix + afterAll };
}
/** What stands behind the identifier. */
export function atOfKey(key: Key): Key {
  return key.slice(2 + key.charCodeAt(1));
}

export function serverKey(server: ServerId): Key {
  return `s${idKey(server)}`;
}
export function serverOfKey(key: Key): ServerId {
  return toServerId(readId(key, 1));
}

/** A tree or a chunk list that nothing leads to any more. */
export function detachedKey(id: number): Key {
  return `t${idKey(id)}`;
}
export function detachedOfKey(key: Key): InodeId {
  return toInodeId(readId(key, 1));
}

/** A chunk of a file's list, index 1 and up: the first one stands in the inode. */
export function listKey(list: number, index: number): Key {
  return `f${idKey(list)}${idKey(index)}`;
}
export function listRange(list: number): { readonly from: Key; readonly to: Key } {
  const prefix = `f${idKey(list)}`;
  return { from: prefix, to: prefix + afterAll };
}
export function indexOfListKey(key: Key): number {
  return toChunkIndex(readId(key, 2 + key.charCodeAt(1)));
}

export function direntKey(directory: InodeId, name: string): Key {
  return `d${idKey(directory)}${nameKey(name)}`;
}
/** Entries of a directory with names after `after`; '' for all. */
export function direntRange(directory: InodeId, after: string): { readonly from: Key; readonly to: Key } {
  const prefix = `d${idKey(directory)}`;
  return { from: after === '' ? prefix : `${prefix}${nameKey(after)}\u0000`, to: prefix + afterAll };
}
export function nameOfDirentKey(key: Key): string {
  const at = 2 + key.charCodeAt(1);
  for (let i = at; i < key.length; i++) if (key.charCodeAt(i) >= 0x80) return decodeName(key, at);
  return key.slice(at);
}

/** A name as it stands in keys. */
export function nameKey(name: string): Key {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) >= 0x80) return String.fromCharCode(...toUtf8(name));
  return name;
}

function decodeName(key: Key, at: number): string {
  const name = fromUtf8(Uint8Array.from({ length: key.length - at }, (_, i) => key.charCodeAt(at + i)));
  assert(name !== undefined, 'a name in the store is UTF-8');
  return name;
}
