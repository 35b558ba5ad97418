/** The call `awaitChange`: who follows a file waits here for its next chunk, or for the end of it. */
import type { InodeId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { changeWaitMaxMs, type masterCalls } from '../../core/protocol/master-calls.ts';
import type { Attributes } from '../../core/protocol/types.ts';
import { Waits } from '../rpc/waits.ts';
import { attributesOf, type ReadWorld } from './reads.ts';
import { stoppedLeading } from './refusal.ts';

/** Calls that wait at one time. */
const watchesMax = 10_000;

type Request = RequestOf<typeof masterCalls.awaitChange>;

export interface WatchWorld extends ReadWorld {
  readonly env: Env;
  barrier(): Promise<void>;
}

export class Watches {
  readonly #world: WatchWorld;
  readonly #waits: Waits<InodeId, Attributes>;

  constructor(world: WatchWorld) {
    this.#world = world;
    this.#waits = new Waits(world.env, watchesMax);
  }

  changed(inode: InodeId): void {
    this.#waits.changed(inode);
  }

  /** @throws CairnError STALE_HANDLE, IS_A_DIRECTORY, NOT_LEADER, BUSY */
  async awaitChange({ inode, known, waitMs }: Request): Promise<ResponseOf<typeof masterCalls.awaitChange>> {
    await this.#world.barrier();
    const look = (isOver: boolean) => {
      const attributes = this.#attributes(inode);
      return isOver || isOther(attributes, known) ? attributes : undefined;
    };
    return { attributes: await this.#waits.wait(inode, Math.min(waitMs, changeWaitMaxMs), look) };
  }

  stop(): void {
    this.#waits.failAll(stoppedLeading());
  }

  #attributes(inode: InodeId): Attributes {
    const file = this.#world.tables.inode(inode);
    if (file === undefined)
      throw new CairnError('STALE_HANDLE', `inode ${inode} does not exist any more; open the file by its path again`);
    if (file.kind === 'directory') throw new CairnError('IS_A_DIRECTORY', `inode ${inode} is a directory; name a file`);
    return attributesOf(this.#world, inode, file);
  }
}

function isOther({ size, chunkCount, tail }: Attributes, known: Request['known']): boolean {
  return size !== known.size || chunkCount !== known.chunkCount || tail?.version !== known.tailVersion;
}
