/**
 * A large file from the cluster to the local disk, several packets at a time, from the network into memory that the disk likes and from
 * there past the page cache: writing a gigabyte into fresh cache would cost more than fetching it. A file that grows is written by one at a
 * time, so what is written at once is more than a packet.
 */
import { basename, dirname } from 'node:path';
import { type Disk, diskBlockBytes } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import { nodeDisk } from '../../../platform/node/disk.ts';
import type { Cairn } from '../../library/client.ts';

/** What one worker fetches, and then writes. */
const unitBytes = 4 * 1024 * 1024;
const workers = 3;
/** Smaller files are not worth it. */
export const largeBytes = 2 * unitBytes;

type RemoteFile = Awaited<ReturnType<Cairn['open']>>;

/** Memory is never given back by the disk: what one file has used serves the next. */
const idleMemory: Uint8Array[] = [];

/**
 * Writes `size` bytes into the file at `to`, which is there and empty.
 * @returns how many there were; fewer than `size` if the file was cut meanwhile. What lies behind them at `to` means nothing then.
 */
export async function fetchLarge(
  remote: RemoteFile,
  size: number,
  to: string,
  advance: (bytes: number) => void,
): Promise<number> {
  const disk = nodeDisk(dirname(to));
  const local = await disk.open(basename(to), 'write').catch(throwCause);
  let next = 0;
  let end = size;
  const worker = async (): Promise<void> => {
    const memory = takeMemory(disk);
    try {
      for (let at = next; at < end; at = next) {
        next = at + unitBytes;
        const wanted = memory.subarray(0, Math.min(unitBytes, size - at));
        const { bytesRead } = await remote.read(wanted, { position: at });
        await local.write(at, [memory.subarray(0, bytesRead)]).catch(throwCause);
        advance(bytesRead);
        if (bytesRead < wanted.length) end = Math.min(end, at + bytesRead);
      }
    } catch (thrown) {
      end = 0; // the others fetch no more
      throw thrown;
    } finally {
      idleMemory.push(memory);
    }
  };
  try {
    for (const fetched of await Promise.allSettled(Array.from({ length: workers }, worker)))
      if (fetched.status === 'rejected') throw fetched.reason;
    return end;
  } finally {
    await local.close().catch(throwCause);
  }
}

/** A disk of the cluster's full is DISK_FULL; the reader's own is told by what the system says. */
function throwCause(thrown: unknown): never {
  throw toCairnError(thrown).cause ?? thrown;
}

function takeMemory(disk: Disk): Uint8Array {
  return idleMemory.pop() ?? disk.allocate(Math.ceil(unitBytes / diskBlockBytes) * diskBlockBytes);
}
