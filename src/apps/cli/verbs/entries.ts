/** How files and directories are shown, as text and as JSON. */
import type { Stats } from '../../library/client.ts';

export interface ShownEntry {
  readonly path: string;
  readonly name: string;
  readonly kind: 'file' | 'directory';
  readonly size: number;
  readonly modifiedAt: string;
  /** Present, and false, where nobody could tell how long the last chunk is: the file has `size` bytes or more. */
  readonly isSizeExact?: boolean;
  readonly createdAt: string;
  readonly replication: number;
  readonly durability: string;
  readonly mode: string;
  readonly minReplicas: number;
  readonly chunkBytes: number;
  readonly chunks: number;
  readonly entries?: number;
}

export function showEntry(path: string, stats: Stats): ShownEntry {
  return {
    path,
    name: baseName(path),
    kind: stats.kind,
    size: stats.size,
    ...(stats.isSizeExact ? {} : { isSizeExact: false }),
    modifiedAt: new Date(stats.modifiedAtMs).toISOString(),
    createdAt: new Date(stats.createdAtMs).toISOString(),
    replication: stats.replication,
    durability: stats.durability,
    mode: stats.mode,
    minReplicas: stats.minReplicas,
    chunkBytes: stats.chunkBytes,
    chunks: stats.chunkCount,
    ...(stats.isDirectory() ? { entries: stats.entries } : {}),
  };
}

export function baseName(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed === '' ? '/' : trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? `${directory}${name}` : `${directory}/${name}`;
}

/** "2026-05-01 12:30", in the reader's own time zone. */
export function formatTime(ms: number): string {
  const date = new Date(ms);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
