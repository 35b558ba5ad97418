/** `cairn append`: stdin or a local file to the end of a file. */
import { createReadStream } from 'node:fs';
import { CairnError } from '../../../core/base/errors.ts';
import type { Cairn } from '../../library/client.ts';
import { printJson } from '../output.ts';
import type { Invocation } from '../program.ts';
import { withCluster } from './connect.ts';

/** Bytes read at a time; a piece is one record where lines are not asked for. */
const pieceBytes = 256 * 1024;
const newline = 0x0a;
const lineMaxBytes = 1024 * 1024;
/** Records that wait for their acknowledgement. */
const underWayMax = 1024;

export async function run(invocation: Invocation): Promise<void> {
  const [path, local = '-'] = invocation.args as [string, string?];
  const { lines, create, durability } = invocation.options;
  await withCluster(invocation, async (cairn) => {
    const settings = durability === undefined ? {} : { durability: durability as 'memory' | 'disk' };
    if (create === false) await cairn.stat(path);
    const records = lines === true ? linesOf(local) : piecesOf(local);
    const done = await appendAll(cairn, path, records, settings);
    if (invocation.json) printJson({ path, ...done });
  });
}

async function appendAll(
  cairn: Cairn,
  path: string,
  records: AsyncIterable<Uint8Array>,
  settings: { durability?: 'memory' | 'disk' },
): Promise<{ records: number; bytes: number; firstOffset: number | null }> {
  const file = await cairn.open(path, 'a', settings);
  const underWay = new Set<Promise<unknown>>();
  let failure: unknown;
  let count = 0;
  let bytes = 0;
  let firstOffset: number | null = null;
  try {
    for await (const record of records) {
      const appended: Promise<unknown> = file
        .recordAppend(record)
        .then((offset) => {
          firstOffset = Math.min(firstOffset ?? offset, offset);
        })
        .catch((thrown: unknown) => {
          failure ??= thrown;
        })
        .finally(() => underWay.delete(appended));
      underWay.add(appended);
      count += 1;
      bytes += record.length;
      if (underWay.size >= underWayMax) await Promise.race(underWay);
      if (failure !== undefined) break;
    }
    await Promise.all(underWay);
  } finally {
    await file.close();
  }
  if (failure !== undefined) throw failure;
  return { records: count, bytes, firstOffset };
}

function source(local: string): NodeJS.ReadableStream {
  return local === '-' ? process.stdin : createReadStream(local, { highWaterMark: pieceBytes });
}

async function* piecesOf(local: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of source(local)) {
      const bytes = piece as Buffer;
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    }
  } catch (cause) {
    throw cause instanceof CairnError
      ? cause
      : new CairnError('LOCAL_IO', `cannot read ${local}: ${(cause as Error).message}`, { cause });
  }
}

/** Lines as they are, with their newline; the last one may lack it. */
async function* linesOf(local: string): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const piece of piecesOf(local)) {
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
