/** The trash of the leader: what goes there, what is listed, and what has been there for long enough. */
import type { Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { type masterCalls, trashPageMax } from '../../core/protocol/master-calls.ts';
import type { LeaderWorld } from './leader-world.ts';
import { emptiedResult } from './state/commands.ts';
import { trashed } from './state/trash.ts';

const lookEveryMs = 10_000;
/** Things removed for good by one command. */
const expireMax = 100;

export class Trash {
  readonly #world: LeaderWorld;
  /** To be called when something has been cut off. */
  readonly #reap: () => void;
  #timer: Timer | undefined;

  constructor(world: LeaderWorld, reap: () => void) {
    this.#world = world;
    this.#reap = reap;
  }

  /** Whether what is removed is kept at all. */
  get isKept(): boolean {
    return this.#world.timing.trashRetentionMs > 0;
  }

  start(): void {
    const { env, timing } = this.#world;
    const waitMs = Math.min(lookEveryMs, Math.max(100, timing.trashRetentionMs / 4));
    this.#timer = env.clock.after(waitMs, () => void this.#expire().then(() => !this.#world.isStopped && this.start()));
  }

  list({ after, limit }: RequestOf<typeof masterCalls.trash>): ResponseOf<typeof masterCalls.trash> {
    if (limit < 1 || limit > trashPageMax)
      throw new CairnError('INVALID_ARGUMENT', `a page has 1 to ${trashPageMax} entries; ask for that`);
    const found = trashed(this.#world.tables, after, limit + 1);
    const entries = found
      .slice(0, limit)
      .map(({ key, dirent: { inode, kind }, path, removedAt }) => ({ key, inode, kind, path, removedAt }));
    return { entries, more: found.length > limit, retentionMs: this.#world.timing.trashRetentionMs };
  }

  /** Removes for good what has been there for the time of retention. */
  async #expire(): Promise<void> {
    const { env, timing } = this.#world;
    try {
      for (let more = true; more && !this.#world.isStopped; ) {
        const before = env.clock.wallNow() - timing.trashRetentionMs;
        const [oldest] = trashed(this.#world.tables, '', 1);
        if (oldest === undefined || oldest.removedAt >= before) return;
        const command = { kind: 'emptyTrash', inode: undefined, before, limit: expireMax } as const;
        const result = await this.#world.execute(command, emptiedResult);
        more = result.ok && result.value.more;
        this.#reap();
      }
    } catch (thrown) {
      const { code, message: why } = toCairnError(thrown);
      if (!this.#world.isStopped) env.events.emit('warn', 'trash_not_expired', { code, why });
    }
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
