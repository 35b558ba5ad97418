/** The trash of the leader: what goes there, what is listed, and what has been there for long enough. */
import { utf8Length } from '../../core/base/bytes.ts';
import type { Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { type masterCalls, trashPageMax } from '../../core/protocol/master-calls.ts';
import { nameMaxBytes } from '../../core/protocol/types.ts';
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
  /** That the clocks of the masters differ: once is enough. */
  #hasWarned = false;

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
    if (limit < 1 || limit > trashPageMax || utf8Length(after) > nameMaxBytes)
      throw new CairnError('INVALID_ARGUMENT', `a page has 1 to ${trashPageMax} entries, after a key; ask for that`);
    const found = trashed(this.#world.tables, after, limit + 1);
    const entries = found
      .slice(0, limit)
      .map(({ key, dirent: { inode, kind }, path, removedAt }) => ({ key, inode, kind, path, removedAt }));
    return { entries, more: found.length > limit, retentionMs: this.#world.timing.trashRetentionMs };
  }

  /** Removes for good what has been there for the time of retention. */
  async #expire(): Promise<void> {
    const { env } = this.#world;
    try {
      for (let more = true; more && !this.#world.isStopped; ) {
        const before = await this.#dueBefore();
        if (before === undefined) return;
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

  /**
   * What was removed before then has been there for long enough; undefined if nothing has. The clock here only tells that there may be something:
   * if it is far ahead, nothing would be left of what was removed just now.
   */
  async #dueBefore(): Promise<number | undefined> {
    const { env, timing, tables } = this.#world;
    const [oldest] = trashed(tables, '', 1);
    const isDueAt = (time: number) => oldest !== undefined && oldest.removedAt < time - timing.trashRetentionMs;
    if (!isDueAt(env.clock.wallNow())) return undefined;
    const time = await this.#world.agreedTime();
    if (time !== undefined && isDueAt(time)) return time - timing.trashRetentionMs;
    const ahead = time === undefined ? 'unknown' : env.clock.wallNow() - time;
    if (!this.#hasWarned) env.events.emit('warn', 'trash_kept_by_other_clocks', { aheadMs: ahead });
    this.#hasWarned = true;
    return undefined;
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
