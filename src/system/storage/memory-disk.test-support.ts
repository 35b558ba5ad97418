/**
 * A disk in memory that remembers every operation, so that a test can look at what a power loss would leave after each of
 * them: `afterPowerLoss(disk.journal.slice(0, n), loss)`.
 */
import { type Millis, toMillis, toWallMillis } from '../../core/base/brand.ts';
import { crc32 } from '../../core/base/crc32.ts';
import type { Disk, DiskFile, DiskUsage, Env, OpenMode } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';

export type DiskOperation =
  | { readonly kind: 'create'; readonly path: string; readonly inode: number }
  | { readonly kind: 'write'; readonly inode: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly inode: number; readonly size: number }
  | { readonly kind: 'sync'; readonly inode: number }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'syncDirectory'; readonly path: string };

/** What becomes of what was not synced. */
export interface Loss {
  /** Bytes of this unsynced write that are kept; 'scattered' keeps some sectors of it. */
  write(bytes: Uint8Array, inode: number): number | 'scattered';
  /** How many of the unsynced changes of names are kept, in order. */
  names(pending: number): number;
}

export const losses: Readonly<Record<string, Loss>> = {
  'nothing unsynced is kept': { write: () => 0, names: () => 0 },
  'everything is kept': { write: (bytes) => bytes.length, names: (pending) => pending },
  'names are kept, data is lost': { write: () => 0, names: (pending) => pending },
  'data is kept, names are lost': { write: (bytes) => bytes.length, names: () => 0 },
  'writes are torn': { write: (bytes) => bytes.length >> 1, names: (pending) => pending >> 1 },
  'sectors are scattered': { write: () => 'scattered', names: (pending) => pending },
};

/** Small, so that records of tests span several. */
const sectorBytes = 64;

class Content {
  bytes = new Uint8Array(0);
  length = 0;

  reserve(end: number): void {
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.length = Math.max(this.length, end);
  }
  write(offset: number, bytes: Uint8Array): void {
    this.reserve(offset + bytes.length);
    this.bytes.set(bytes, offset);
  }
  truncate(size: number): void {
    if (size > this.length) this.reserve(size);
    this.bytes.fill(0, size);
    this.length = size;
  }
}

export class MemoryDisk implements Disk {
  readonly journal: DiskOperation[] = [];
  /** May throw, to let an operation fail: called before it is done. */
  before: (operation: DiskOperation) => void = () => {};
  /** Awaited by each asynchronous sync, so that a test can hold it. */
  syncGate: () => Promise<void> = async () => {};
  readonly #names = new Map<string, number>();
  readonly #contents = new Map<number, Content>();
  #nextInode = 1;

  #do(operation: DiskOperation): void {
    this.before(operation);
    this.journal.push(operation);
    if (operation.kind === 'create') {
      this.#names.set(operation.path, operation.inode);
      this.#contents.set(operation.inode, new Content());
    } else if (operation.kind === 'write')
      this.#contents.get(operation.inode)!.write(operation.offset, operation.bytes);
    else if (operation.kind === 'truncate') this.#contents.get(operation.inode)!.truncate(operation.size);
    else if (operation.kind === 'remove') this.#names.delete(operation.path);
    else if (operation.kind === 'rename') {
      this.#names.set(operation.to, this.#names.get(operation.from)!);
      this.#names.delete(operation.from);
    }
  }

  openNow(path: string, mode: OpenMode): DiskFile {
    let inode = this.#names.get(path);
    if (inode !== undefined && mode === 'createNew') throw new CairnError('EXISTS', path);
    if (inode === undefined) {
      if (mode === 'read' || mode === 'write') throw new CairnError('NOT_FOUND', path);
      inode = this.#nextInode++;
      this.#do({ kind: 'create', path, inode });
    }
    return this.#file(path, inode, this.#contents.get(inode)!);
  }

  #file(path: string, inode: number, content: Content): DiskFile {
    const readNow = (offset: number, into: Uint8Array): number => {
      const part = content.bytes.subarray(offset, Math.min(offset + into.length, content.length));
      into.set(part);
      return part.length;
    };
    const writeNow = (offset: number, parts: readonly Uint8Array[]): number => {
      let at = offset;
      for (const part of parts) {
        this.#do({ kind: 'write', inode, offset: at, bytes: part.slice() });
        at += part.length;
      }
      return at - offset;
    };
    return {
      path,
      size: () => content.length,
      read: async (offset, into) => readNow(offset, into),
      readNow,
      write: async (offset, parts) => writeNow(offset, parts),
      writeNow,
      sync: async () => {
        // Only what was there when the sync began is durable afterwards.
        this.#do({ kind: 'sync', inode });
        await this.syncGate();
      },
      syncNow: () => this.#do({ kind: 'sync', inode }),
      truncate: async (size) => this.#do({ kind: 'truncate', inode, size }),
      close: async () => {},
    };
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.openNow(path, mode);
  }
  async makeDirectory(): Promise<void> {}
  async list(directory: string): Promise<readonly string[]> {
    const prefix = `${directory}/`;
    return [...this.#names.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length))
      .sort();
  }
  async exists(path: string): Promise<boolean> {
    return this.#names.has(path);
  }
  async remove(path: string): Promise<void> {
    if (!this.#names.has(path)) throw new CairnError('NOT_FOUND', path);
    this.#do({ kind: 'remove', path });
  }
  async rename(from: string, to: string): Promise<void> {
    if (!this.#names.has(from)) throw new CairnError('NOT_FOUND', from);
    this.#do({ kind: 'rename', from, to });
  }
  async syncDirectory(path: string): Promise<void> {
    this.#do({ kind: 'syncDirectory', path });
  }
  allocate(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }
  async usage(): Promise<DiskUsage> {
    return { totalBytes: 2 ** 40, freeBytes: 2 ** 39 };
  }

  /** What is in a file now, to be looked at or damaged. */
  bytesOf(path: string): Uint8Array {
    const content = this.#contents.get(this.#names.get(path)!)!;
    return content.bytes.subarray(0, content.length);
  }
  truncateFile(path: string, size: number): void {
    this.#contents.get(this.#names.get(path)!)!.truncate(size);
  }
  deleteFile(path: string): void {
    this.#names.delete(path);
  }
  /** The same files, apart from this disk. */
  copy(): MemoryDisk {
    return rebuilt(this.#names, this.#contents);
  }

  static of(files: ReadonlyMap<string, Uint8Array>): MemoryDisk {
    const disk = new MemoryDisk();
    for (const [path, bytes] of files) {
      const content = new Content();
      content.write(0, bytes);
      disk.#names.set(path, disk.#nextInode);
      disk.#contents.set(disk.#nextInode++, content);
    }
    return disk;
  }
}

function rebuilt(names: ReadonlyMap<string, number>, contents: ReadonlyMap<number, Content>): MemoryDisk {
  const files = new Map<string, Uint8Array>();
  for (const [path, inode] of names) {
    const content = contents.get(inode)!;
    files.set(path, content.bytes.slice(0, content.length));
  }
  return MemoryDisk.of(files);
}

/** The disk that is found after the power went away behind the last operation of `journal`. */
export function afterPowerLoss(journal: readonly DiskOperation[], loss: Loss): MemoryDisk {
  const contents = new Map<number, Content>();
  const unsynced = new Map<number, DiskOperation[]>();
  const names = new Map<string, number>();
  let pendingNames: DiskOperation[] = [];
  for (const operation of journal) {
    if (operation.kind === 'create') {
      contents.set(operation.inode, new Content());
      pendingNames.push(operation);
    } else if (operation.kind === 'remove' || operation.kind === 'rename') pendingNames.push(operation);
    else if (operation.kind === 'syncDirectory') {
      const chosen = changesWith(pendingNames, operation.path);
      for (const change of pendingNames) if (chosen.has(change)) changeName(names, change);
      pendingNames = pendingNames.filter((change) => !chosen.has(change));
    } else if (operation.kind === 'sync') {
      for (const change of unsynced.get(operation.inode) ?? [])
        keep(contents.get(operation.inode)!, change, losses['everything is kept']!);
      unsynced.delete(operation.inode);
    } else {
      const list = unsynced.get(operation.inode);
      if (list === undefined) unsynced.set(operation.inode, [operation]);
      else list.push(operation);
    }
  }
  for (const change of pendingNames.slice(0, loss.names(pendingNames.length))) changeName(names, change);
  for (const [inode, changes] of unsynced) for (const change of changes) keep(contents.get(inode)!, change, loss);
  return rebuilt(names, contents);
}

/** The changes of this directory, and those before them that they hang on. */
function changesWith(pending: readonly DiskOperation[], directory: string): ReadonlySet<DiskOperation> {
  const wanted = new Set([directory]);
  const chosen = new Set<DiskOperation>();
  for (const change of [...pending].reverse()) {
    const touched = directoriesOf(change);
    if (!touched.some((one) => wanted.has(one))) continue;
    chosen.add(change);
    for (const one of touched) wanted.add(one);
  }
  return chosen;
}

function directoriesOf(change: DiskOperation): string[] {
  const paths = change.kind === 'rename' ? [change.from, change.to] : 'path' in change ? [change.path] : [];
  return paths.map((path) => path.slice(0, Math.max(0, path.lastIndexOf('/'))));
}

function changeName(names: Map<string, number>, change: DiskOperation): void {
  if (change.kind === 'create') names.set(change.path, change.inode);
  else if (change.kind === 'remove') names.delete(change.path);
  else if (change.kind === 'rename') {
    const inode = names.get(change.from);
    if (inode === undefined) return;
    names.set(change.to, inode);
    names.delete(change.from);
  }
}

function keep(content: Content, change: DiskOperation, loss: Loss): void {
  if (change.kind === 'truncate') {
    if (loss.write(new Uint8Array(2), change.inode) !== 0) content.truncate(change.size);
  } else if (change.kind === 'write') {
    const kept = loss.write(change.bytes, change.inode);
    if (kept !== 'scattered') {
      if (kept > 0) content.write(change.offset, change.bytes.subarray(0, kept));
      return;
    }
    // Every other sector, the last ones rather than the first.
    for (let at = change.bytes.length; at > 0; at -= 2 * sectorBytes) {
      const start = Math.max(0, at - sectorBytes);
      content.write(change.offset + start, change.bytes.subarray(start, at));
    }
  }
}

export interface TestEnv extends Env {
  readonly disk: MemoryDisk;
  readonly emitted: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> }[];
}

/** Just enough of a world for what only needs a disk. */
export function testEnv(disk: MemoryDisk = new MemoryDisk()): TestEnv {
  let seed = 1;
  const next = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const emitted: TestEnv['emitted'] = [];
  const noNetwork = (): never => {
    throw new Error('there is no network here');
  };
  return {
    disk,
    emitted,
    crc32,
    random: { next, below: (bound) => Math.floor(next() * bound), id53: () => Math.floor(next() * 2 ** 53) },
    clock: {
      now: (): Millis => toMillis(0),
      wallNow: () => toWallMillis(0),
      after: () => ({ cancel: () => {} }),
      soon: (run) => void Promise.resolve().then(run),
    },
    network: { listen: noNetwork, connect: noNetwork },
    events: { emit: (_level, name, fields = {}) => void emitted.push({ name, fields }) },
  };
}
