/**
 * The end of this master's part in the group, when it was removed or replaced by decision. It may be needed for the change that removes it: it
 * leaves when another master says that the group is without it.
 */
import type { Env } from '../../../core/base/env.ts';
import { type CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { Roster } from '../state/roster.ts';
import { introduceTo } from './acquaintance.ts';
import { notAMember } from './doorkeeper.ts';
import type { Self } from './self.ts';

/** How often the others are asked whether the group is without this one. */
const askAgainMs = 200;

export interface LeavingWorld {
  readonly env: Env;
  readonly self: Self;
  roster(): Roster;
  onFailure(error: CairnError): void;
}

export class Leaving {
  readonly #world: LeavingWorld;
  #isAsking = false;
  #isOver = false;

  constructor(world: LeavingWorld) {
    this.#world = world;
  }

  /** It has left, or is stopped. */
  get isOver(): boolean {
    return this.#isOver;
  }

  stop(): void {
    this.#isOver = true;
  }

  /** To be called when it belongs to the group no more, as far as the roster goes. */
  async askWhetherGone(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { env, self, roster } = this.#world;
    while (!this.#isOver) {
      for (const other of roster().members) {
        const own = self.introduction(other.node);
        const refusal = await introduceTo(env, other.address, own).then(() => undefined, toCairnError);
        if (refusal?.code === 'NOT_A_MEMBER') return this.leave();
      }
      await new Promise<void>((resolve) => env.clock.after(askAgainMs, resolve));
    }
  }

  /** The group is without it. */
  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    const { env, self, onFailure } = this.#world;
    const error = notAMember(self.node);
    env.events.emit('error', 'master_removed', { master: self.id, why: error.message });
    try {
      await self.save({ ...self.record, removed: true });
    } catch (thrown) {
      // It is told again at its next start.
      env.events.emit('error', 'removal_not_recorded', { why: toCairnError(thrown).message });
    }
    onFailure(error);
  }
}
