/** Deciding which bytes go past the page cache, and the second descriptor that they go through. */
import * as fs from 'node:fs';
import { diskBlockBytes } from '../../core/base/env.ts';
import { isAligned } from './aligned-memory.ts';
import { diskError } from './disk-errors.ts';

/** Below this the cache is as cheap, and quicker. */
export const directMinBytes = 128 * 1024;

/** Whether the disk takes direct I/O: true until it has refused once (tmpfs, some overlays and networks do). */
export interface DirectGate {
  open: boolean;
}

/** How many of the first bytes of `parts` could be written directly at `offset`; 0 if that is not worth it. */
export function directPrefixBytes(offset: number, parts: readonly Uint8Array[]): number {
  if (offset % diskBlockBytes !== 0) return 0;
  let bytes = 0;
  for (const part of parts) {
    if (!isAligned(part)) break;
    const beyond = part.length % diskBlockBytes;
    bytes += part.length - beyond;
    if (beyond > 0) break;
  }
  return bytes >= directMinBytes ? bytes : 0;
}

export function canReadDirectly(offset: number, into: Uint8Array): boolean {
  if (into.length < directMinBytes || offset % diskBlockBytes !== 0 || into.length % diskBlockBytes !== 0) return false;
  return isAligned(into);
}

/**
 * The file of `fd` once more, opened for direct I/O; by way of /proc, so that a file that has been renamed or removed
 * since is the same one. Returns undefined where the system cannot, and closes the gate if it is not only for the moment.
 */
export function openDirect(fd: number, writable: boolean, gate: DirectGate): number | undefined {
  const direct = fs.constants.O_DIRECT;
  if (!gate.open || direct === undefined) return undefined;
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, (writable ? fs.constants.O_RDWR : fs.constants.O_RDONLY) | direct);
  } catch (thrown) {
    // Whatever the reason, the descriptor in hand does the same work: this is an optimization refused, not a failure.
    if (diskError('direct open', thrown).code !== 'BUSY') gate.open = false;
    return undefined;
  }
}
