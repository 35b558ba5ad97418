/** Calls the leases of files back: of one whose settings have changed, of all below a directory that is to be copied (GFS §3.4). */
import type { ChunkHandle, InodeId } from '../../core/base/brand.ts';
import { toInodeId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { Concerns, LeaderWorld } from './leader-world.ts';
import type { Sealing } from './sealing.ts';
import type { Tables } from './state/tables.ts';

/** Leases called back at one time. */
const recallsMax = 32;
/** Open chunks looked at before others get their turn. */
const sliceMax = 500;
const againMs = 20;

/** Whether an inode is `top`, or below it. */
export function isBelow(tables: Tables, inode: InodeId, top: InodeId): boolean {
  let at: number = inode;
  while (at !== 0 && at !== top) at = tables.inode(toInodeId(at))?.parent ?? 0;
  return at === top;
}

export class Recalls {
  readonly #world: LeaderWorld;
  readonly #sealing: Sealing;

  constructor(world: LeaderWorld, sealing: Sealing) {
    this.#world = world;
    this.#sealing = sealing;
  }

  /** Open chunks that the files have which `concerns` names. `known` are looked at no more; those that are not concerned are added to it. */
  async openOf(concerns: Concerns, known = new Map<ChunkHandle, number>()): Promise<ChunkHandle[]> {
    const { env } = this.#world;
    const found: ChunkHandle[] = [];
    let looked = 0;
    for (const handle of [...this.#world.tables.openChunks()]) {
      if (++looked % sliceMax === 0) {
        await new Promise<void>((resolve) => env.clock.soon(resolve));
        this.#world.checkLeading();
      }
      const chunk = this.#world.tables.chunk(handle);
      if (chunk === undefined || chunk.sealed || known.get(handle) === chunk.version) continue;
      if (concerns(chunk.inode) && this.#world.tables.isInFile(handle, chunk)) found.push(handle);
      else known.set(handle, chunk.version);
    }
    return found;
  }

  /**
   * Until each that was open when it began has been sealed once. One of them, or another, may be open again by then.
   * @throws CairnError UNAVAILABLE when some could not be sealed in time; NOT_LEADER
   */
  async recall(concerns: Concerns, untilMs: number): Promise<void> {
    const { env } = this.#world;
    for (;;) {
      const open = await this.openOf(concerns);
      if (open.length === 0) return;
      const failed = await this.#sealAll(open);
      if (failed === undefined) return;
      if (env.clock.now() >= untilMs)
        throw new CairnError('UNAVAILABLE', `a lease could not be called back: ${failed.message}`, { cause: failed });
      await new Promise<void>((resolve) => env.clock.after(againMs, resolve));
      this.#world.checkLeading();
    }
  }

  /** @returns why one of them could not be sealed */
  async #sealAll(handles: readonly ChunkHandle[]): Promise<CairnError | undefined> {
    const left = [...handles];
    let failed: CairnError | undefined;
    const worker = async () => {
      for (let handle = left.pop(); handle !== undefined; handle = left.pop()) {
        try {
          await this.#sealing.seal(handle);
        } catch (thrown) {
          const error = toCairnError(thrown);
          if (error.code === 'NOT_LEADER') throw error;
          if (error.code !== 'STALE_HANDLE') failed = error; // gone is as good
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(recallsMax, handles.length) }, worker));
    return failed;
  }
}
