/**
 * What keeps clients from getting grants for a while: of a chunk whose replicas are being changed, of the files that a snapshot is being taken of.
 */
import type { ChunkHandle, InodeId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type Concerns, type LeaderWorld, waitUntil } from './leader-world.ts';

export class Holds {
  readonly #world: LeaderWorld;
  readonly #held = new Map<ChunkHandle, Hold>();
  readonly #frozen = new Set<Freeze>();

  constructor(world: LeaderWorld) {
    this.#world = world;
  }

  /** No client gets a grant of this chunk until the function that it returns is called; nor while others hold it. */
  hold(handle: ChunkHandle): () => void {
    const held = this.#held.get(handle) ?? makeHold();
    this.#held.set(handle, held);
    held.count += 1;
    return once(() => {
      held.count -= 1;
      if (held.count > 0) return;
      this.#held.delete(handle);
      held.release();
    });
  }

  /** Nor of the files that `concerns` names. */
  freeze(concerns: Concerns): () => void {
    const frozen = { ...makeHold(), concerns };
    this.#frozen.add(frozen);
    return once(() => {
      this.#frozen.delete(frozen);
      frozen.release();
    });
  }

  /** Whether a snapshot of anything is being taken. */
  get freezesAny(): boolean {
    return this.#frozen.size > 0;
  }
  /** Whether a snapshot of this file is being taken, or of what it is below. */
  isFrozen(inode: InodeId): boolean {
    return this.#freezeOf(inode) !== undefined;
  }
  #freezeOf(inode: InodeId): Freeze | undefined {
    for (const frozen of this.#frozen) if (frozen.concerns(inode)) return frozen;
    return undefined;
  }

  /** Undefined if the chunk is not held; else look at it again afterwards. @throws CairnError UNAVAILABLE if that takes too long */
  untilReleased(handle: ChunkHandle, until: number): Promise<void> | undefined {
    return this.#until(this.#held.get(handle), `chunk ${handle} is being copied just now`, until);
  }
  /** Undefined if no snapshot of the file is being taken. @throws CairnError UNAVAILABLE if that takes too long */
  untilThawed(inode: InodeId, until: number): Promise<void> | undefined {
    return this.#until(this.#freezeOf(inode), `a snapshot of inode ${inode} is being taken just now`, until);
  }

  #until(hold: Hold | undefined, why: string, until: number): Promise<void> | undefined {
    if (hold === undefined) return undefined;
    if (this.#world.env.clock.now() >= until) throw new CairnError('UNAVAILABLE', `${why}; try again later`);
    return waitUntil(this.#world, hold.done, until);
  }
}

interface Hold {
  count: number;
  readonly done: Promise<void>;
  readonly release: () => void;
}
interface Freeze extends Hold {
  readonly concerns: Concerns;
}

function makeHold(): Hold {
  let release = () => {};
  const done = new Promise<void>((resolve) => (release = resolve));
  return { count: 0, done, release };
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
