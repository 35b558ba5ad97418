/**
 * Memory in huge pages, for bytes that go to the disk and come from it: a mebibyte is one piece there and not 256, of which each costs the
 * kernel, and whoever plays the disk for a virtual machine, some time. Where the system gives huge pages only to those who ask for them,
 * the C library does (glibc 2.35 and later), for large memory, if the environment of the process said so when it started.
 */
import * as fs from 'node:fs';
import { diskBlockBytes } from '../../core/base/env.ts';

const tunable = 'glibc.malloc.hugetlb';

/** The environment of a process that is to have huge pages. */
export function withHugePages(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { GLIBC_TUNABLES: others = '' } = env;
  if (others.includes(tunable)) return env;
  return { ...env, GLIBC_TUNABLES: `${others === '' ? '' : `${others}:`}${tunable}=1` };
}

export function asksForHugePages({ GLIBC_TUNABLES: tunables = '' }: NodeJS.ProcessEnv): boolean {
  return tunables.split(':').includes(`${tunable}=1`);
}

/** glibc: above this it takes memory from the system for one allocation alone, which begins so far behind the start of a page. */
const alwaysMappedBytes = 32 * 1024 * 1024;
const headerBytes = 16;

export interface MappedArena {
  /** Zeroed, and begins at a block boundary. */
  readonly bytes: Uint8Array;
  /** How far the first byte of its buffer is behind a block boundary. */
  readonly bufferBehind: number;
}

/** Memory of a mapping of its own; undefined where it does not begin where this C library would have it begin, or nobody can tell. */
export function mappedArena(bytes: number): MappedArena | undefined {
  const buffer = new ArrayBuffer(Math.max(bytes, alwaysMappedBytes) + diskBlockBytes);
  const arena = new Uint8Array(buffer, diskBlockBytes - headerBytes, bytes);
  return canTakeDirectly(arena) ? { bytes: arena, bufferBehind: headerBytes } : undefined;
}

/** Direct input of the file of this program is refused into memory that is not aligned. */
function canTakeDirectly(arena: Uint8Array): boolean {
  const direct = fs.constants.O_DIRECT;
  if (direct === undefined) return false;
  let fd: number | undefined;
  try {
    fd = fs.openSync(process.execPath, fs.constants.O_RDONLY | direct);
    const taken = fs.readSync(fd, arena, 0, diskBlockBytes, 0);
    arena.fill(0, 0, taken);
    return taken === diskBlockBytes;
  } catch {
    // Whatever the reason: memory of another kind is known to be aligned, and takes its place.
    return false;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}
