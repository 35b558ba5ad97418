/** What a file may ask for, and its bounds. */
import { type Refused, refused } from '../../../core/base/result.ts';
import { type Durability, replicasMax } from '../../../core/protocol/types.ts';
import type { Settings } from './records.ts';

/** Checksums are kept per block of this size; a chunk has a whole number of them. */
export const blockBytes = 64 * 1024;
export const chunkBytesMax = 1024 * 1024 * 1024;

export interface SettingsAsked {
  readonly replication: number | undefined;
  readonly durability: Durability | undefined;
  readonly chunkBytes: number | undefined;
}

/** Undefined if all is within its bounds. */
export function checkSettings(asked: SettingsAsked): Refused | undefined {
  const { replication, chunkBytes } = asked;
  if (replication !== undefined && (replication < 1 || replication > replicasMax))
    return refused('INVALID_ARGUMENT', `${replication} replicas were asked for; choose 1 to ${replicasMax}`);
  if (
    chunkBytes !== undefined &&
    (chunkBytes < blockBytes || chunkBytes > chunkBytesMax || chunkBytes % blockBytes !== 0)
  )
    return refused(
      'INVALID_ARGUMENT',
      `chunks of ${chunkBytes} bytes were asked for; choose a multiple of ${blockBytes} up to ${chunkBytesMax}`,
    );
  return undefined;
}

/** What was asked for, the rest from the directory. */
export function settingsFrom(directory: Settings, asked: SettingsAsked): Settings {
  return {
    replication: asked.replication ?? directory.replication,
    chunkBytes: asked.chunkBytes ?? directory.chunkBytes,
    durability: asked.durability ?? directory.durability,
  };
}
