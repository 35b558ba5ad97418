/** What was removed and can be restored. */
import { type InodeId, toInodeId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { trashPageMax } from '../../core/protocol/master-calls.ts';
import { show } from '../../core/protocol/paths.ts';
import type { FileKind } from '../../core/protocol/types.ts';
import type { ClientCore } from './core.ts';
import { namesOf } from './failures.ts';

export interface TrashEntry {
  /** Names it: the same path may have been removed several times. */
  readonly id: number;
  readonly kind: FileKind;
  /** Where it was. */
  readonly path: string;
  /** Wall time, ms since 1970. */
  readonly removedAtMs: number;
  /** When it goes for good. */
  readonly expiresAtMs: number;
}

export class Trash {
  readonly #core: ClientCore;

  constructor(core: ClientCore) {
    this.#core = core;
  }

  /** What was removed first comes first. */
  async *entries(): AsyncGenerator<TrashEntry, void, void> {
    for (let after = '', more = true; more; ) {
      const page = await this.#core.masters.read('trash', { after, limit: trashPageMax });
      for (const { inode, kind, path, removedAt } of page.entries)
        yield { id: inode, kind, path, removedAtMs: removedAt, expiresAtMs: removedAt + page.retentionMs };
      more = page.more;
      after = page.entries.at(-1)?.key ?? after;
    }
  }

  /**
   * Puts something back where it was, or to `to`; directories that are missing on the way are made.
   * @param what its id, or the path where it was: of several the one that was removed last
   * @returns where it is now. @throws CairnError NOT_FOUND, EXISTS
   */
  async restore(what: number | string, to?: string): Promise<string> {
    if (to !== undefined) namesOf(to);
    const inode = typeof what === 'number' ? toInodeId(what) : await this.#lastAt(what);
    return (await this.#core.masters.command('restore', { inode, to })).path;
  }

  /** Removes all, or one thing, for good. @returns how many. @throws CairnError NOT_FOUND */
  async empty(id?: number): Promise<number> {
    const inode = id === undefined ? undefined : toInodeId(id);
    for (let removed = 0; ; ) {
      const done = await this.#core.masters.command('emptyTrash', { inode });
      removed += done.removed;
      if (!done.more) return removed;
    }
  }

  async #lastAt(path: string): Promise<InodeId> {
    const wanted = `/${namesOf(path).join('/')}`;
    let last: number | undefined;
    for await (const entry of this.entries()) if (entry.path === wanted) last = entry.id;
    if (last !== undefined) return toInodeId(last);
    throw new CairnError('NOT_FOUND', `${show(path)}: is not in the trash; look at \`cairn trash ls\``);
  }
}
