/** `cairn append`: stdin or a local file to the end of a file. */
import { open } from 'node:fs/promises';
import { CairnError } from '../../../core/base/errors.ts';
import { AppendSink } from '../../../system/client/append-sink.ts';
import type { Cairn, FileSettings } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { localError } from './copying.ts';
import { type SettingsFlags, settingsOf } from './file-settings.ts';
import { parentIsMissing } from './targets.ts';

/** Bytes read at a time; a piece is one record where lines are not asked for. */
const pieceBytes = 256 * 1024;
/** A record is at most a quarter of a chunk. */
const recordsPerChunkMin = 4;
const newline = 0x0a;
const lineMaxBytes = 1024 * 1024;

/** What becomes one record: a piece or a line as it is, or a line without its newline behind a head. */
type Unit = 'piece' | 'line' | 'record';

export async function run(invocation: Invocation): Promise<void> {
  const [path, local = '-'] = invocation.args as [string, string?];
  const { lines, records, create } = invocation.options;
  await withCluster(invocation, async (cairn) => {
    const settings = settingsOf(invocation.options as SettingsFlags);
    if (create === false) await cairn.stat(path);
    const unit = records === true ? 'record' : lines === true ? 'line' : 'piece';
    const done = await appendAll(cairn, path, local, unit, settings);
    if (invocation.json) printJson({ path, ...done });
  });
}

async function appendAll(
  cairn: Cairn,
  path: string,
  local: string,
  unit: Unit,
  settings: FileSettings,
): Promise<{ records: number; bytes: number; firstOffset: number | null }> {
  const input = await openInput(local); // before the file is made: a mistyped name leaves nothing behind
  const file = await cairn
    .open(path, 'a', settings)
    .catch(parentIsMissing(path, 'make it first, with `cairn mkdir -p`'));
  const records = unit === 'piece' ? piecesOf(input, local, await recordBytes(cairn, path)) : linesOf(input, local);
  let count = 0;
  let bytes = 0;
  let firstOffset: number | null = null;
  const append = async (record: Uint8Array): Promise<void> => {
    const offset = await (unit === 'record' ? file.appendRecord(withoutNewline(record)) : file.recordAppend(record));
    firstOffset = Math.min(firstOffset ?? offset, offset);
  };
  // A line is one record, or is refused: nothing is split.
  const sink = new AppendSink(append, { recordMax: Number.POSITIVE_INFINITY, now: () => performance.now() });
  try {
    for await (const record of records) {
      await sink.write(record);
      count += 1;
      bytes += record.length;
    }
  } finally {
    await sink.flush().finally(() => file.close()); // also when the input fails: what was sent is appended
  }
  return { records: count, bytes, firstOffset };
}

function withoutNewline(line: Uint8Array): Uint8Array {
  return line.at(-1) === newline ? line.subarray(0, -1) : line;
}

async function openInput(local: string): Promise<AsyncIterable<Buffer>> {
  if (local === '-') return process.stdin;
  try {
    const file = await open(local, 'r');
    if ((await file.stat()).isDirectory()) {
      await file.close();
      throw Object.assign(new Error(local), { code: 'EISDIR' });
    }
    return file.createReadStream({ highWaterMark: pieceBytes });
  } catch (cause) {
    throw localError(local, 'read', cause);
  }
}

/** The largest piece that is one record in this file. */
async function recordBytes(cairn: Cairn, path: string): Promise<number> {
  return Math.min(pieceBytes, (await cairn.stat(path)).chunkBytes / recordsPerChunkMin);
}

async function* piecesOf(input: AsyncIterable<Buffer>, local: string, maxBytes: number): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of input)
      for (let at = 0; at < bytes.length; at += maxBytes) yield bytes.subarray(at, at + maxBytes);
  } catch (cause) {
    throw localError(local === '-' ? 'stdin' : local, 'read', cause);
  }
}

/** Lines as they are, with their newline; the last one may lack it. */
async function* linesOf(input: AsyncIterable<Buffer>, local: string): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const piece of piecesOf(input, local, pieceBytes)) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      yield bytes.subarray(start, end + 1);
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > lineMaxBytes)
      throw new CairnError(
        'RECORD_TOO_LARGE',
        `a line of ${local} is longer than ${lineMaxBytes} bytes; append it without --lines`,
      );
  }
  if (rest.length > 0) yield rest;
}
