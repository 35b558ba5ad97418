/**
 * A tree, one thing after another: each directory before what is in it, names in byte order. Holds a page of names for each level it is in, and
 * the first pages of the next few directories, which are read ahead; so a tree may be of any size.
 */
import type { AbortSignalLike } from './abort.ts';
import type { ClientCore } from './core.ts';
import { walkParallel } from './limits.ts';
import { type Stats, settledSizes } from './stats.ts';
import { childPath, type Entry, entriesOf, isMissing, type ReadSource } from './tree.ts';

export interface Walked {
  readonly path: string;
  /** 0 for where the walk began. */
  readonly depth: number;
  readonly stats: Stats;
}

export interface WalkOptions {
  /** What lies deeper is not looked at. */
  readonly maxDepth?: number | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

type Pages = AsyncGenerator<readonly Entry[], void, void>;

/** A directory whose first page is on its way. */
interface Opened {
  readonly pages: Pages;
  readonly first: Promise<IteratorResult<readonly Entry[], void>>;
}

/** What goes away meanwhile is passed over. @throws CairnError NOT_FOUND for the path where it begins */
export async function* walk(
  core: ClientCore,
  path: string,
  { maxDepth = Number.POSITIVE_INFINITY, signal }: WalkOptions,
  source: ReadSource,
): AsyncGenerator<Walked, void, void> {
  const [stats] = await settledSizes(core, [await source.read('stat', { path })]);
  yield { path, depth: 0, stats: stats! };
  if (stats!.isDirectory() && maxDepth > 0) yield* new Walk(core, source, maxDepth, signal).below(path, 1);
}

class Walk {
  readonly #core: ClientCore;
  readonly #source: ReadSource;
  readonly #maxDepth: number;
  readonly #signal: AbortSignalLike | undefined;

  constructor(core: ClientCore, source: ReadSource, maxDepth: number, signal: AbortSignalLike | undefined) {
    this.#core = core;
    this.#source = source;
    this.#maxDepth = maxDepth;
    this.#signal = signal;
  }

  async *below(path: string, depth: number, opened: Opened = this.#open(path)): AsyncGenerator<Walked, void, void> {
    const { pages, first } = opened;
    try {
      for (let page = await first; page.done !== true; page = await pages.next()) yield* this.#page(page.value, depth);
    } catch (thrown) {
      if (!isMissing(thrown)) throw thrown;
    }
  }

  async *#page(entries: readonly Entry[], depth: number): AsyncGenerator<Walked, void, void> {
    const directories = depth < this.#maxDepth ? entries.filter((entry) => entry.isDirectory()) : [];
    const ahead = new Map<Entry, Opened>();
    let next = 0;
    const readAhead = (): void => {
      while (next < directories.length && ahead.size < walkParallel) {
        const directory = directories[next++]!;
        ahead.set(directory, this.#open(childPath(directory)));
      }
    };
    for (const entry of entries) {
      readAhead();
      const path = childPath(entry);
      yield { path, depth, stats: entry.stats! };
      const opened = ahead.get(entry);
      if (opened === undefined) continue;
      yield* this.below(path, depth + 1, opened);
      ahead.delete(entry);
    }
  }

  #open(path: string): Opened {
    const options = { withAttributes: true, signal: this.#signal, source: this.#source };
    const pages = entriesOf(this.#core, path, options);
    const first = pages.next();
    first.catch(() => undefined); // told when it is its turn; it may never be
    return { pages, first };
  }
}
