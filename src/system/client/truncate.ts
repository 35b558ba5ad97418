/**
 * A file is made shorter or longer in two steps: the master takes off the chunks behind its new end, then the primary of the last one
 * cuts it, or adds zeros. Between the two the file is longer than it was to be, by less than a chunk, or shorter: never anything else
 * than a beginning of what it was.
 */
import { assert } from '../../core/base/assert.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type AbortSignalLike, givenUpBy } from './abort.ts';
import { attemptsOf } from './core.ts';
import { mutate } from './mutate.ts';
import type { OpenFile } from './open-file.ts';

/** @throws CairnError TOO_LARGE, STALE_HANDLE, what a write throws */
export async function truncateFile(file: OpenFile, size: number, signal?: AbortSignalLike): Promise<void> {
  const { core, inode, chunkBytes } = file;
  const chunkCount = Math.ceil(size / chunkBytes);
  if (!Number.isSafeInteger(chunkCount * chunkBytes)) {
    throw new CairnError('TOO_LARGE', `${size} bytes would end beyond 2^53; files are smaller than that`);
  }
  const asOf = core.env.clock.now();
  const attributes = await core.masters.command('truncate', { inode, chunkCount, chunkBytes }, { signal });
  file.cut(attributes, asOf);
  if (chunkCount === 0) return;
  const index = chunkCount - 1;
  const lengthBytes = size - index * chunkBytes;
  assert(lengthBytes > 0 && lengthBytes <= chunkBytes, 'the last chunk has a part of the file', { size, lengthBytes });
  const since = undefined;
  const kind = { kind: 'resize' as const, writer: core.once.writer, since, sequence: core.once.next(), lengthBytes };
  await mutate(core, file, index, { kind, parts: [], crc: 0 }, attemptsOf(core, undefined, givenUpBy(signal)));
}
