/** `cairn tail`: the end of a file, and with `-f` what comes. Told by the cluster when there is more, never by asking again and again. */
import type { FileHandle } from '../../../system/client/file-handle.ts';
import type { ReadRecord } from '../../../system/client/records.ts';
import type { Invocation } from '../invocation.ts';
import { withCluster } from './connect.ts';
import { writeJson, writeOut } from './stdout.ts';

const stepBytes = 64 * 1024;
const newline = 0x0a;
/** No object of `--json` has more: a file need not have lines. */
const lineMaxBytes = 1024 * 1024;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export async function run(invocation: Invocation): Promise<void> {
  const [path] = invocation.args as [string];
  await withCluster(invocation, async (cairn) => {
    const file = await cairn.open(path, 'r');
    try {
      if (invocation.options.records === true) await tailRecords(file, invocation);
      else await tailBytes(file, invocation);
    } finally {
      await file.close();
    }
  });
}

/** Where the user has said that it begins, if he has. */
function saidStart({ from, bytes }: Invocation['options'], size: number): number | undefined {
  if (from !== undefined) return Number(from);
  return bytes === undefined ? undefined : Math.max(0, size - Number(bytes));
}

// ------------------------------------------------------------------ bytes and lines

async function tailBytes(file: FileHandle, { options, json }: Invocation): Promise<void> {
  const { size } = await file.stat();
  const start = saidStart(options, size) ?? (await startOfLines(file, size, Number(options.number)));
  const lines = new LinePrinter(start);
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (json) await lines.push(bytes);
    else await writeOut(bytes);
  };
  if (options.follow === true) {
    for await (const { position, bytes } of file.follow({ start })) {
      if (position < lines.readTo) await lines.beginAt(position); // it was cut
      await write(bytes);
    }
  } else {
    for await (const bytes of file.readStream({ start })) await write(bytes);
  }
  await lines.end();
}

/** Where the last so many lines begin. */
async function startOfLines(file: FileHandle, size: number, count: number): Promise<number> {
  if (count === 0) return size;
  let left = count;
  for (let end = size; end > 0; end = Math.max(0, end - stepBytes)) {
    const start = Math.max(0, end - stepBytes);
    const block = new Uint8Array(end - start);
    await file.read(block, { position: start });
    for (let at = block.length - 1; at >= 0; at--) {
      // The newline that ends the file ends its last line, and begins none.
      if (block[at] !== newline || start + at === size - 1) continue;
      left -= 1;
      if (left === 0) return start + at + 1;
    }
  }
  return 0;
}

/** Lines as objects, for `--json`; one that is longer than `lineMaxBytes` comes in pieces. */
class LinePrinter {
  #position: number;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(position: number) {
    this.#position = position;
  }

  /** Of the next byte to come. */
  get readTo(): number {
    return this.#position + this.#rest.length;
  }

  /** What came last is a line, if it was one, and what comes is read from there. */
  async beginAt(position: number): Promise<void> {
    await this.end();
    this.#position = position;
  }

  async push(bytes: Uint8Array): Promise<void> {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let start = 0;
    for (let end = all.indexOf(newline); end >= 0; end = all.indexOf(newline, start)) {
      await this.#print(all.subarray(start, end), end + 1 - start);
      start = end + 1;
    }
    for (; all.length - start > lineMaxBytes; start += lineMaxBytes)
      await this.#print(all.subarray(start, start + lineMaxBytes), lineMaxBytes);
    this.#rest = all.slice(start);
  }

  async end(): Promise<void> {
    if (this.#rest.length > 0) await this.#print(this.#rest, this.#rest.length);
    this.#rest = new Uint8Array(0);
  }

  async #print(line: Uint8Array, bytes: number): Promise<void> {
    await writeJson({ position: this.#position, ...contentOf(line) });
    this.#position += bytes;
  }
}

/** As text if it is UTF-8. */
function contentOf(bytes: Uint8Array): { text: string } | { base64: string } {
  try {
    return { text: strictUtf8.decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') }; // the decoder's way to say no
  }
}

// ------------------------------------------------------------------ records

async function tailRecords(file: FileHandle, { options, json }: Invocation): Promise<void> {
  const { size } = await file.stat();
  const from = saidStart(options, size) ?? (await startOfRecords(file, size, Number(options.number)));
  for await (const record of file.records({ from, follow: options.follow === true })) {
    if (json) await writeJson(documentOf(record));
    else await writeOut(Buffer.concat([record.data, Buffer.from([newline])]));
  }
}

function documentOf({ position, end, writer, sequence, data }: ReadRecord): object {
  return { position, end, writer, sequence, ...contentOf(data) };
}

/** Where the last so many records begin: looked for in ever longer ends of the file. */
async function startOfRecords(file: FileHandle, size: number, count: number): Promise<number> {
  if (count === 0) return size;
  for (let bytes = stepBytes; ; bytes *= 4) {
    const from = Math.max(0, size - bytes);
    const last: number[] = [];
    for await (const { position } of file.records({ from })) {
      last.push(position);
      if (last.length > count) last.shift();
    }
    if (last.length === count) return last[0]!;
    if (from === 0) return 0;
  }
}
