/** Counts what a member costs: flushes at its disk, messages and bytes at its transport. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { Disk, DiskFile, Env } from '../../../core/base/env.ts';
import type { SnapshotPart, Transport } from '../../../system/rsm/replica.ts';

export class Counters {
  flushes = 0;
  messages = 0;
  messageBytes = 0;
  snapshotBytes = 0;
}
export type Counts = Readonly<Pick<Counters, 'flushes' | 'messages' | 'messageBytes' | 'snapshotBytes'>>;

/** The same world with each fdatasync counted. */
export function countingEnv(env: Env, counters: Counters): Env {
  const { disk } = env;
  const counted: Disk = {
    open: async (...of) => countingFile(await disk.open(...of), counters),
    openNow: (...of) => countingFile(disk.openNow(...of), counters),
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    exists: (path) => disk.exists(path),
    remove: (path) => disk.remove(path),
    rename: (from, to) => disk.rename(from, to),
    syncDirectory: (path) => disk.syncDirectory(path),
    usage: () => disk.usage(),
    allocate: (bytes) => disk.allocate(bytes),
  };
  return { ...env, disk: counted };
}

function countingFile(file: DiskFile, counters: Counters): DiskFile {
  const sync = file.sync.bind(file);
  file.sync = () => {
    counters.flushes += 1;
    return sync();
  };
  const syncNow = file.syncNow?.bind(file);
  if (syncNow !== undefined) {
    file.syncNow = () => {
      counters.flushes += 1;
      syncNow();
    };
  }
  return file;
}

export function countingTransport(transport: Transport, counters: Counters): Transport {
  return {
    send: (to: NodeId, message: Uint8Array) => {
      counters.messages += 1;
      counters.messageBytes += message.length;
      transport.send(to, message);
    },
    sendSnapshotPart: (to: NodeId, part: SnapshotPart, bytes: Uint8Array) => {
      counters.snapshotBytes += bytes.length;
      return transport.sendSnapshotPart(to, part, bytes);
    },
  };
}
