/**
 * Branded quantities: a number or string that says what it counts, so that a term is never passed for an index.
 * Each brand has one checked constructor here; arithmetic on a brand yields a plain number that goes through it again.
 */
import { assert } from './assert.ts';

declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Milliseconds of a monotonic clock, or a span of them. May be fractional. */
export type Millis = Brand<number, 'Millis'>;
/** Milliseconds since 1970-01-01 UTC; only for people to read, never for protocol decisions. */
export type WallMillis = Brand<number, 'WallMillis'>;
/** A member of a consensus group, below 2^32: its configured id + 65536 × its incarnation; see node-id.ts. */
export type NodeId = Brand<number, 'NodeId'>;
/** A chunkserver: 1 … 65535. */
export type ServerId = Brand<number, 'ServerId'>;
/** `host:port`; port 0 stands for any free one, to listen on. */
export type Address = Brand<string, 'Address'>;

function safeNatural(n: number, what: string): void {
  assert(Number.isSafeInteger(n) && n >= 0, `${what} is a safe integer ≥ 0`, { n });
}

export function toMillis(n: number): Millis {
  assert(Number.isFinite(n) && n >= 0, 'a time in ms is a finite number ≥ 0', { n });
  return n as Millis;
}

export function toWallMillis(n: number): WallMillis {
  assert(Number.isFinite(n) && n >= 0, 'a wall time in ms is a finite number ≥ 0', { n });
  return n as WallMillis;
}

export function toNodeId(n: number): NodeId {
  assert(Number.isInteger(n) && n >= 1 && n <= 0xffff_ffff && n % 0x1_0000 !== 0, 'a node id is a u32', { n });
  return n as NodeId;
}

export function toServerId(n: number): ServerId {
  assert(Number.isInteger(n) && n >= 1 && n <= 0xffff, 'a server id is 1 … 65535', { n });
  return n as ServerId;
}

export function toAddress(text: string): Address {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  assert(colon > 0 && Number.isInteger(port) && port >= 0 && port <= 65535, 'an address is host:port', { text });
  return text as Address;
}

/** Makes a checked constructor for a brand over the safe naturals. */
export function naturalBrand<B extends Brand<number, string>>(what: string): (n: number) => B {
  return (n) => {
    safeNatural(n, what);
    return n as B;
  };
}

/** Names a chunk for ever; from 1. */
export type ChunkHandle = Brand<number, 'ChunkHandle'>;
export const toChunkHandle = naturalBrand<ChunkHandle>('a chunk handle');
/** Place of a chunk within its file, from 0. */
export type ChunkIndex = Brand<number, 'ChunkIndex'>;
export const toChunkIndex = naturalBrand<ChunkIndex>('a chunk index');
/** Raised by each lease grant; from 1. */
export type ChunkVersion = Brand<number, 'ChunkVersion'>;
export const toChunkVersion = naturalBrand<ChunkVersion>('a chunk version');
/** The place of a mutation in the order that the primary gives under one chunk version; from 1. */
export type MutationSerial = Brand<number, 'MutationSerial'>;
export const toMutationSerial = naturalBrand<MutationSerial>('a mutation serial');
/** A file or directory, for ever; the root is 1. */
export type InodeId = Brand<number, 'InodeId'>;
export const toInodeId = naturalBrand<InodeId>('an inode id');
