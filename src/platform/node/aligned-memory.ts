/**
 * Memory at page boundaries, which direct I/O asks for. Node tells no addresses; the one thing it makes that is aligned by
 * specification of its engine is the memory of WebAssembly, so arenas of it are cut into blocks, which live for ever. A process that was
 * started with huge pages (huge-pages.ts) has its arenas in them.
 * Where the engine makes none (it reserves gigabytes of address space for each, and may have been told not to), ordinary
 * memory takes its place, and with it the page cache the place of direct I/O.
 */
import { diskBlockBytes } from '../../core/base/env.ts';
import { asksForHugePages, mappedArena } from './huge-pages.ts';

/** The part of the engine's global that is used; the types of Node 20 leave it out. Undefined without a compiler. */
declare const WebAssembly:
  | {
      readonly Memory: new (pages: {
        readonly initial: number;
        readonly maximum: number;
      }) => { readonly buffer: ArrayBuffer };
    }
  | undefined;

const arenaBytes = 32 * 1024 * 1024;
const wasmPageBytes = 64 * 1024;

/** Of each arena: how far its first byte is behind a block boundary. */
const behind = new WeakMap<ArrayBufferLike, number>();
let usesHugePages = asksForHugePages(process.env);
let arena: Uint8Array = new Uint8Array(0);
let used = 0;

/** `bytes` of zeroed memory at a block boundary, of which the whole last block belongs to the caller. */
export function allocateAligned(bytes: number): Uint8Array {
  const rounded = Math.ceil(bytes / diskBlockBytes) * diskBlockBytes;
  if (rounded > arenaBytes / 2) return makeArena(rounded).subarray(0, bytes);
  if (arena.length - used < rounded) {
    arena = makeArena(arenaBytes);
    used = 0;
  }
  const block = arena.subarray(used, used + bytes);
  used += rounded;
  return block;
}

/** Whether `bytes` begin at a block boundary of memory from here. */
export function isAligned(bytes: Uint8Array): boolean {
  const bufferBehind = behind.get(bytes.buffer);
  return bufferBehind !== undefined && (bufferBehind + bytes.byteOffset) % diskBlockBytes === 0;
}

function makeArena(bytes: number): Uint8Array {
  const mapped = usesHugePages ? mappedArena(bytes) : undefined;
  if (mapped !== undefined) {
    behind.set(mapped.bytes.buffer, mapped.bufferBehind);
    return mapped.bytes;
  }
  usesHugePages = false;
  const memory = wasmMemory(Math.ceil(bytes / wasmPageBytes));
  if (memory === undefined) return new Uint8Array(bytes);
  behind.set(memory, 0);
  return new Uint8Array(memory);
}

function wasmMemory(pages: number): ArrayBuffer | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer;
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}
