/** The append queues of a client, one per file, so that all who append to a file here share frames. Idle ones are dropped, oldest first. */
import type { InodeId } from '../../core/base/brand.ts';
import type { Attributes, Grant } from '../../core/protocol/types.ts';
import { AppendQueue } from './append-queue.ts';
import type { ClientCore } from './core.ts';
import { appendersMax } from './limits.ts';
import { OpenFile } from './open-file.ts';

/** A file that is appended to. */
export interface Appended {
  readonly queue: AppendQueue;
  readonly chunkBytes: number;
}

export class AppendQueues {
  readonly #core: ClientCore;
  /** The one used last at the end. */
  readonly #byInode = new Map<InodeId, Appended>();
  /** The end of it. */
  #last: InodeId | undefined;
  #isTrimPlanned = false;

  constructor(core: ClientCore) {
    this.#core = core;
  }

  /** @param attributes as they were at `asOf`; `grant`: of its first chunk, if it came along. */
  of(attributes: Attributes, asOf: number, grant?: Grant): Appended {
    const found = this.#byInode.get(attributes.inode);
    const known = found?.chunkBytes === attributes.chunkBytes ? found : undefined;
    const appended = known ?? this.#make(attributes, asOf, grant);
    if (known === undefined || this.#last !== attributes.inode) this.#moveToEnd(attributes.inode, appended);
    known?.queue.note(attributes, asOf);
    if (this.#byInode.size > appendersMax) this.#planTrim();
    return appended;
  }

  /** At the end of the turn: before that what was handed out may be idle, and is about to be used. */
  #planTrim(): void {
    if (this.#isTrimPlanned) return;
    this.#isTrimPlanned = true;
    this.#core.env.clock.soon(() => {
      this.#isTrimPlanned = false;
      this.#dropIdle();
    });
  }

  #moveToEnd(inode: InodeId, appended: Appended): void {
    this.#byInode.delete(inode);
    this.#byInode.set(inode, appended);
    this.#last = inode;
  }

  #make(attributes: Attributes, asOf: number, grant: Grant | undefined): Appended {
    const file = new OpenFile(this.#core, attributes, asOf, grant);
    return { queue: new AppendQueue(file, grant), chunkBytes: attributes.chunkBytes };
  }

  /** Until no more are left than are to be kept; busy ones are bounded by their callers. */
  #dropIdle(): void {
    for (const [inode, { queue }] of this.#byInode) {
      if (this.#byInode.size <= appendersMax) return;
      if (queue.isIdle) this.#byInode.delete(inode);
    }
  }
}
