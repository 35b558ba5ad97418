/** What a file may ask for, and its bounds. */
import { type Refused, refused } from '../../../core/base/result.ts';
import { replicasMax, type SettingsAsked } from '../../../core/protocol/types.ts';
import type { Settings } from './records.ts';
import { nearestDirectory } from './resolve.ts';
import type { Tables } from './tables.ts';

/** Checksums are kept per block of this size; a chunk has a whole number of them. */
export const blockBytes = 64 * 1024;
export const chunkBytesMax = 1024 * 1024 * 1024;

/** Undefined if all is within its bounds. */
export function checkSettings({ replication, chunkBytes, minReplicas }: SettingsAsked): Refused | undefined {
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
  if (minReplicas !== undefined && (minReplicas < 1 || minReplicas > (replication ?? replicasMax)))
    return refused(
      'INVALID_ARGUMENT',
      `at least ${minReplicas} replicas were asked for; choose 1 to ${replication ?? replicasMax}, as many as there are copies`,
    );
  return undefined;
}

/** What is wrong with settings that were asked for something to be made at a path; undefined if nothing is. */
export function checkAsked(tables: Tables, path: string, asked: SettingsAsked): Refused | undefined {
  const wrong = checkSettings(asked);
  if (wrong !== undefined || asked.minReplicas === undefined || asked.replication !== undefined) return wrong;
  return checkSettings({ ...asked, replication: nearestDirectory(tables, path).replication });
}

/** What was asked for, which was checked, the rest from `present`. Without being asked for, `minReplicas` stays within the copies there are to be. */
export function settingsFrom(present: Settings, asked: SettingsAsked): Settings {
  const replication = asked.replication ?? present.replication;
  return {
    replication,
    chunkBytes: asked.chunkBytes ?? present.chunkBytes,
    durability: asked.durability ?? present.durability,
    mode: asked.mode ?? present.mode,
    minReplicas: asked.minReplicas ?? Math.min(present.minReplicas, replication),
  };
}

/** Only the settings of an inode. */
export function settingsOf({ replication, chunkBytes, durability, mode, minReplicas }: Settings): Settings {
  return { replication, chunkBytes, durability, mode, minReplicas };
}
