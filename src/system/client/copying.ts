/** Copies within the cluster, through this client. */
import { joinPath } from '../../core/protocol/paths.ts';
import { type FileKind, nothingAsked } from '../../core/protocol/types.ts';
import { throwIfAborted } from './abort.ts';
import type { ClientCore } from './core.ts';
import { isADirectory, wasCut } from './failures.ts';
import { copyParallel } from './limits.ts';
import { expectedOf, fileOf, type MakeOptions, openAs, statFile } from './opening.ts';
import { readStream } from './read-range.ts';
import { childPath, entriesOf, intoItself, isWithin, workThrough } from './tree.ts';
import { WriteStream } from './write-stream.ts';

export interface CopyOptions extends MakeOptions {
  /** Directories with all below. */
  readonly recursive?: boolean | undefined;
  /** False: a file that is there already is an error. */
  readonly replace?: boolean | undefined;
}

interface Item {
  readonly from: string;
  readonly to: string;
  readonly kind: FileKind;
}

/** @throws CairnError INTO_ITSELF, IS_A_DIRECTORY, EXISTS, … of the first that could not be copied */
export async function copy(core: ClientCore, from: string, to: string, options: CopyOptions): Promise<void> {
  if (isWithin(from, to)) throw intoItself(from, to);
  const { kind } = await core.masters.read('stat', { path: from });
  if (kind === 'directory' && options.recursive !== true) throw isADirectory(from);
  await workThrough([{ from, to, kind }], copyParallel, async (item) => {
    throwIfAborted(options.signal);
    if (item.kind === 'directory') return copyDirectory(core, item, options);
    await copyFile(core, item, options);
    return [];
  });
}

/** @returns what is in it. */
async function copyDirectory(core: ClientCore, { from, to }: Item, { signal }: CopyOptions): Promise<readonly Item[]> {
  await core.masters.command('mkdir', { path: to, parents: true, ...nothingAsked }, { signal });
  const below: Item[] = [];
  for await (const page of entriesOf(core, from, { withAttributes: false, signal })) {
    for (const entry of page) below.push({ from: childPath(entry), to: joinPath(to, entry.name), kind: entry.kind });
  }
  return below;
}

async function copyFile(core: ClientCore, { from, to }: Item, options: CopyOptions): Promise<void> {
  const source = fileOf(core, await statFile(core, from));
  const expectedBytes = await source.size(core.env.clock.now());
  const target = await openAs(core, to, options.replace === false ? 'wx' : 'w', expectedOf(expectedBytes), options);
  const { signal } = options;
  const sink = WriteStream.writing(to, fileOf(core, target), { expectedBytes, signal });
  await sink.take(wholeOf(readStream(source, { signal }), from, expectedBytes));
}

/** @throws CairnError BUSY behind the last piece, if there was less */
async function* wholeOf(
  pieces: AsyncIterable<Uint8Array>,
  path: string,
  size: number,
): AsyncGenerator<Uint8Array, void, void> {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    yield piece;
  }
  if (bytes < size) throw wasCut(path, size, bytes);
}
