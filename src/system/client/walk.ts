/**
 * A tree, one thing after another: each directory before what is in it, names in byte order. Holds a page of names for each level it is in, and
 * the first pages of the next few directories, which are read ahead; so a tree may be of any size.
 */
import type { AbortSignalLike } from './abort.ts';
import type { ClientCore } from './core.ts';
import { walkParallel } from './limits.ts';
import { type Stats, settledSizes } from './stats.ts';
import { childPath, type Entry, entriesOf, isMissing, isUnreached, type OnUnreached, type ReadSource } from './tree.ts';

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
  /** Without it such a thing is an error. */
  readonly onUnreached?: OnUnreached | undefined;
}

type Pages = AsyncGenerator<readonly Entry[], void, void>;

/** A directory whose first page is on its way. */
interface Opened {
  readonly path: string;
  readonly pages: Pages;
  readonly first: Promise<IteratorResult<readonly Entry[], void>>;
}

/** What goes away meanwhile is passed over. @throws CairnError NOT_FOUND for the path where it begins */
export async function* walk(
  core: ClientCore,
  path: string,
  options: WalkOptions,
  source: ReadSource,
): AsyncGenerator<Walked, void, void> {
  const [stats] = await settledSizes(core, [await source.read('stat', { path })]);
  yield { path, depth: 0, stats: stats! };
  const tree = new Tree(core, source, options);
  if (stats!.isDirectory() && tree.maxDepth > 0) yield* below(tree, path);
}

/** With a level for each directory it is in, not a call: paths may have two thousand names. */
async function* below(tree: Tree, path: string): AsyncGenerator<Walked, void, void> {
  const levels = [new Level(tree, tree.open(path), 1)];
  for (let level = levels[0]; level !== undefined; level = levels.at(-1)) {
    const entry = await level.next();
    if (entry === undefined) {
      levels.pop();
      continue;
    }
    yield { path: childPath(entry), depth: level.depth, stats: entry.stats! };
    const opened = level.opened(entry);
    if (opened !== undefined) levels.push(new Level(tree, opened, level.depth + 1));
  }
}

class Tree {
  readonly maxDepth: number;
  readonly onUnreached: OnUnreached | undefined;
  readonly #core: ClientCore;
  readonly #source: ReadSource;
  readonly #signal: AbortSignalLike | undefined;

  constructor(core: ClientCore, source: ReadSource, options: WalkOptions) {
    this.#core = core;
    this.#source = source;
    this.maxDepth = options.maxDepth ?? Number.POSITIVE_INFINITY;
    this.onUnreached = options.onUnreached;
    this.#signal = options.signal;
  }

  open(path: string): Opened {
    const options = { withAttributes: true, signal: this.#signal, source: this.#source };
    const pages = entriesOf(this.#core, path, options);
    const first = pages.next();
    first.catch(() => undefined); // told when it is its turn; it may never be
    return { path, pages, first };
  }
}

/** A directory the walk is in: the page it has come to, and the directories of that page that are read ahead. */
class Level {
  readonly depth: number;
  readonly #tree: Tree;
  readonly #path: string;
  readonly #pages: Pages;
  #nextPage: Opened['first'] | undefined;
  #entries: Iterator<Entry> = [].values();
  #directories: Iterator<Entry> = [].values();
  readonly #ahead = new Map<Entry, Opened>();

  constructor(tree: Tree, { path, pages, first }: Opened, depth: number) {
    this.#tree = tree;
    this.#path = path;
    this.#pages = pages;
    this.#nextPage = first;
    this.depth = depth;
  }

  /** Undefined when there is no more, or the directory has gone away, or cannot be reached. */
  async next(): Promise<Entry | undefined> {
    for (;;) {
      const entry = this.#entries.next();
      if (entry.done !== true) {
        this.#readAhead();
        return entry.value;
      }
      const page = await this.#turn();
      if (page === undefined) return undefined;
      this.#entries = page.values();
      this.#directories = page.filter((one) => one.isDirectory() && this.depth < this.#tree.maxDepth).values();
    }
  }

  /** What is in `entry`, which came last, if it is a directory that is to be looked at. */
  opened(entry: Entry): Opened | undefined {
    const opened = this.#ahead.get(entry);
    this.#ahead.delete(entry);
    return opened;
  }

  async #turn(): Promise<readonly Entry[] | undefined> {
    try {
      const page = await (this.#nextPage ?? this.#pages.next());
      this.#nextPage = undefined;
      return page.done === true ? undefined : page.value;
    } catch (thrown) {
      if (isMissing(thrown) || isUnreached(this.#path, thrown, this.#tree.onUnreached)) return undefined;
      throw thrown;
    }
  }

  #readAhead(): void {
    while (this.#ahead.size < walkParallel) {
      const directory = this.#directories.next();
      if (directory.done === true) return;
      this.#ahead.set(directory.value, this.#tree.open(childPath(directory.value)));
    }
  }
}
