/** Where things lie below the store's directory. See docs/formats/chunk-files.md. */
import { type ChunkHandle, toChunkHandle } from '../../../core/base/brand.ts';

/** Directories that the chunk files are spread over. */
const fanOut = 256;
/** Consecutive handles share a directory: chunks born together lie together, and a checkpoint syncs few directories. */
const handlesPerDirectory = 4096;
const handleDigits = 16;

export class Layout {
  readonly chunks: string;
  readonly slabs: string;
  readonly pool: string;
  readonly metadata: string;
  readonly journal: string;
  readonly quarantine: string;

  /** @param directory of the store on its disk; '' is the disk's root. */
  constructor(directory: string) {
    const prefix = directory === '' ? '' : `${directory}/`;
    this.chunks = `${prefix}chunks`;
    this.slabs = `${prefix}slabs`;
    this.pool = `${prefix}pool`;
    this.metadata = `${prefix}metadata`;
    this.journal = `${prefix}journal`;
    this.quarantine = `${prefix}quarantine`;
  }

  directoryOf(handle: ChunkHandle): string {
    return `${this.chunks}/${directoryName(Math.floor(handle / handlesPerDirectory) % fanOut)}`;
  }

  pathOf(handle: ChunkHandle): string {
    return `${this.directoryOf(handle)}/${handle.toString(16).padStart(handleDigits, '0')}`;
  }

  fanOutDirectories(): readonly string[] {
    return Array.from({ length: fanOut }, (_, n) => `${this.chunks}/${directoryName(n)}`);
  }
}

function directoryName(n: number): string {
  return n.toString(16).padStart(2, '0');
}

/** The handle that a chunk file is named for; undefined when the name is none of ours. */
export function handleOfName(name: string): ChunkHandle | undefined {
  if (!/^[0-9a-f]{16}$/.test(name)) return undefined;
  const n = Number.parseInt(name, 16);
  return Number.isSafeInteger(n) ? toChunkHandle(n) : undefined;
}
