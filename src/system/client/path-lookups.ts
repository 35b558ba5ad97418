/**
 * Looking up a file by its path for many calls at once: whoever comes while a look-up of that path is under way shares the next one with all
 * others who do, since an answer must be of a moment after the call began. So a path is looked up once at a time, however many ask.
 */
import type { ClientCore } from './core.ts';
import { type Opened, statFile } from './opening.ts';

interface Lookup {
  readonly underWay: Promise<Opened>;
  next: Promise<Opened> | undefined;
}

export class PathLookups {
  readonly #core: ClientCore;
  /** Of paths that somebody waits for. */
  readonly #byPath = new Map<string, Lookup>();

  constructor(core: ClientCore) {
    this.#core = core;
  }

  /** A file that is there. @throws CairnError NOT_FOUND, IS_A_DIRECTORY */
  find(path: string): Promise<Opened> {
    const lookup = this.#byPath.get(path);
    if (lookup === undefined) return this.#begin(path);
    const begin = () => this.#begin(path);
    lookup.next ??= lookup.underWay.then(begin, begin);
    return lookup.next;
  }

  #begin(path: string): Promise<Opened> {
    const lookup: Lookup = { underWay: statFile(this.#core, path), next: undefined };
    this.#byPath.set(path, lookup);
    const ended = () => {
      if (lookup.next === undefined) this.#byPath.delete(path);
    };
    lookup.underWay.then(ended, ended);
    return lookup.underWay;
  }
}
