/** Whole trees: walking, adding up, copying. Built from the calls of the client; several directories and files at a time. */
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { type masterCalls, readdirPageMax } from '../../core/protocol/master-calls.ts';
import { joinPath, show } from '../../core/protocol/paths.ts';
import type { FileKind } from '../../core/protocol/types.ts';
import { type AbortSignalLike, throwIfAborted } from './abort.ts';
import type { ClientCore } from './core.ts';
import { namesOf } from './failures.ts';
import { type Stats, settledSizes } from './stats.ts';

export interface Entry {
  readonly name: string;
  /** Of the directory that holds it. */
  readonly parentPath: string;
  readonly kind: FileKind;
  /** If attributes were asked for. */
  readonly stats: Stats | undefined;
  isFile(): boolean;
  isDirectory(): boolean;
}

/** Who is asked for metadata: the leading master, or any. */
export interface ReadSource {
  read<Kind extends 'stat' | 'readdir' | 'locate'>(
    kind: Kind,
    request: RequestOf<(typeof masterCalls)[Kind]>,
  ): Promise<ResponseOf<(typeof masterCalls)[Kind]>>;
}

/** The entries of a directory in byte order of their names, a page at a time, one page ahead. */
export async function* entriesOf(
  core: ClientCore,
  path: string,
  options: {
    readonly withAttributes: boolean;
    readonly pageEntries?: number | undefined;
    readonly signal?: AbortSignalLike | undefined;
    /** Undefined: the leading master. */
    readonly source?: ReadSource | undefined;
  },
): AsyncGenerator<readonly Entry[], void, void> {
  let next: Promise<Page> | undefined = readPage(core, path, '', options);
  while (next !== undefined) {
    const page: Page = await next;
    throwIfAborted(options.signal);
    next = page.after === undefined ? undefined : readPage(core, path, page.after, options);
    next?.catch(() => undefined); // told when it is its turn; it may never be
    if (page.entries.length > 0) yield page.entries;
  }
}

interface Page {
  readonly entries: readonly Entry[];
  /** The last name, if there are more. */
  readonly after: string | undefined;
}

async function readPage(
  core: ClientCore,
  path: string,
  after: string,
  {
    withAttributes,
    pageEntries = readdirPageMax,
    source = core.masters,
  }: {
    readonly withAttributes: boolean;
    readonly pageEntries?: number | undefined;
    readonly source?: ReadSource | undefined;
  },
): Promise<Page> {
  const request = { path, after, limit: pageEntries, withAttributes };
  const { entries, more } = await source.read('readdir', request);
  const known = entries.flatMap(({ attributes }) => (attributes === undefined ? [] : [attributes]));
  const stats = await settledSizes(core, known);
  let at = 0;
  const page = entries.map(({ name, kind, attributes }) =>
    entry(path, name, kind, attributes === undefined ? undefined : stats[at++]),
  );
  return { entries: page, after: more ? page.at(-1)?.name : undefined };
}

function entry(parentPath: string, name: string, kind: FileKind, stats: Stats | undefined): Entry {
  return { name, parentPath, kind, stats, isFile: () => kind === 'file', isDirectory: () => kind === 'directory' };
}

/** Runs `work` on each item, and on those that it gives back, `parallel` at a time. The first failure ends it. */
export async function workThrough<Item>(
  items: readonly Item[],
  parallel: number,
  work: (item: Item) => Promise<readonly Item[]>,
): Promise<void> {
  const left = [...items];
  let underWay = 0;
  let failure: { readonly error: unknown } | undefined;
  let wake: (() => void)[] = [];
  const worker = async (): Promise<void> => {
    while (failure === undefined && (left.length > 0 || underWay > 0)) {
      const item = left.pop();
      if (item === undefined) {
        await new Promise<void>((go) => wake.push(go));
        continue;
      }
      underWay += 1;
      try {
        for (const one of await work(item)) left.push(one);
      } catch (error) {
        failure ??= { error };
      }
      underWay -= 1;
      const waiting = wake;
      wake = [];
      for (const go of waiting) go();
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  if (failure !== undefined) throw failure.error;
}

/** Whether `inner` is `outer` or lies below it. */
export function isWithin(outer: string, inner: string): boolean {
  const outerNames = namesOf(outer);
  const innerNames = namesOf(inner);
  return outerNames.length <= innerNames.length && outerNames.every((name, n) => name === innerNames[n]);
}

export function intoItself(from: string, to: string): CairnError {
  return new CairnError(
    'INTO_ITSELF',
    `${show(to)}: is inside ${show(from)}, which is to be copied there; choose a place outside`,
  );
}

export function childPath({ parentPath, name }: Entry): string {
  return joinPath(parentPath, name);
}

export function isMissing(thrown: unknown): boolean {
  const { code } = toCairnError(thrown);
  return code === 'NOT_FOUND' || code === 'NOT_A_DIRECTORY';
}

/** Told of what no path leads to, as something above it was moved to a place with a longer path: it is passed over. */
export type OnUnreached = (path: string, error: CairnError) => void;

/** Tells it, if that is why what was seen in a listing cannot be looked at; false if it is not, or nobody wants to be told. */
export function isUnreached(path: string, thrown: unknown, onUnreached: OnUnreached | undefined): boolean {
  if (onUnreached === undefined || toCairnError(thrown).code !== 'NAME_TOO_LONG') return false;
  const why =
    'its path is longer than any may be, since something above it was moved; move that to where its path is shorter';
  onUnreached(path, new CairnError('NAME_TOO_LONG', `${show(path)}: ${why}`, { cause: thrown }));
  return true;
}

/** What there is to do with something that was seen in a listing; nothing if it has gone away since, or cannot be reached. */
export async function unlessGone<Item>(
  path: string,
  onUnreached: OnUnreached | undefined,
  work: (path: string) => Promise<readonly Item[]>,
): Promise<readonly Item[]> {
  try {
    return await work(path);
  } catch (thrown) {
    if (isMissing(thrown) || toCairnError(thrown).code === 'STALE_HANDLE') return [];
    if (isUnreached(path, thrown, onUnreached)) return [];
    throw thrown;
  }
}
