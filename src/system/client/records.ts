/** Reading records back (docs/formats/records.md): all that a file has, or as they come. */
import type { AbortSignalLike } from './abort.ts';
import { followFile } from './follow.ts';
import type { OpenFile } from './open-file.ts';
import { readStream } from './read-range.ts';
import { type ReadRecord, RecordScanner, type Skipped } from './record-scanner.ts';

export type { ReadRecord, Skipped } from './record-scanner.ts';

export interface RecordsOptions {
  /**
   * Where to begin: a byte of the file, from which the first whole record is found, or `end` for those that will be appended. 0 if not
   * given. The `end` of a record is where to go on behind it.
   */
  readonly from?: number | 'end' | undefined;
  /** Goes on for ever: waits for records to be appended, told by the cluster when they are. */
  readonly follow?: boolean | undefined;
  /** Called with what was passed over, at the end of the file. */
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

/** Records in the order in which they lie in the file, each once: padding, fragments and repetitions are passed over. */
export async function* recordsOf(file: OpenFile, options: RecordsOptions): AsyncGenerator<ReadRecord, void, void> {
  const { from = 0, follow = false, onSkipped, signal } = options;
  const { env } = file.core;
  const start = from === 'end' ? await file.size(env.clock.now()) : from;
  let scanner = new RecordScanner(env.crc32, start);
  if (follow) {
    for await (const { position, bytes } of followFile(file, start, signal)) {
      if (position < scanner.readTo) {
        yield* scanner.end();
        scanner = new RecordScanner(env.crc32, position);
      }
      yield* scanner.push(bytes);
    }
  } else {
    for await (const bytes of readStream(file, { start, signal })) yield* scanner.push(bytes);
  }
  yield* scanner.end();
  onSkipped?.(scanner.skipped);
}
