/** What the parts of an open chunk store share: one of each, made at opening. */
import type { ChunkHandle } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import type { BadBlocksReport, ChunkStoreOptions } from '../chunk-store.ts';
import type { ChunkCache } from './chunk-cache.ts';
import type { ChunkFiles } from './chunk-files.ts';
import type { ChunkState } from './chunk-state.ts';
import type { Journal } from './journal.ts';
import type { Layout } from './layout.ts';
import type { MetadataStore } from './metadata-store.ts';
import { BadBlock } from './plan.ts';
import type { Space } from './space.ts';

export interface StoreParts {
  readonly env: Env;
  readonly options: ResolvedOptions;
  readonly layout: Layout;
  readonly metadata: MetadataStore;
  readonly cache: ChunkCache;
  readonly files: ChunkFiles;
  readonly journal: Journal;
  readonly space: Space;
  /** Removed since the last checkpoint began. */
  readonly removed: Set<ChunkHandle>;
}

export type ResolvedOptions = Required<Omit<ChunkStoreOptions, 'badBlocks'>> & {
  readonly badBlocks: (report: BadBlocksReport) => void;
};

/** Remembers blocks that fail their checksums, and tells once for each. */
export function reportBadBlocks(parts: StoreParts, state: ChunkState, blocks: readonly number[]): void {
  const fresh = blocks.filter((block) => !state.badBlocks.has(block));
  for (const block of fresh) state.badBlocks.add(block);
  if (fresh.length > 0) report(parts, { handle: state.handle, blocks: fresh });
}

/** What kept a change from being made may be a block that was found bad only then: somebody must hear of it, or the change fails for ever. */
export function reportIfBad(parts: StoreParts, state: ChunkState, thrown: unknown): void {
  if (thrown instanceof BadBlock && !state.isRemoved) reportBadBlocks(parts, state, [thrown.block]);
}

/** The replica cannot be served at all. */
export function reportLost(parts: Pick<StoreParts, 'env' | 'options'>, handle: ChunkHandle, why: string): void {
  parts.env.events.emit('error', 'chunk-replica-lost', { handle, why });
  parts.options.badBlocks({ handle, blocks: 'all' });
}

function report(parts: StoreParts, bad: BadBlocksReport): void {
  parts.env.events.emit('error', 'chunk-blocks-bad', { handle: bad.handle, blocks: bad.blocks });
  parts.options.badBlocks(bad);
}
