/**
 * Calls that are answered when something has changed: a reader waits here for a file to grow, instead of asking again and again.
 * Bounded in number, and each in time; whoever asked in vain asks anew.
 */
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';

interface Wait<Answer> {
  /** The answer, if there is one by now; `isOver`: there must be. */
  readonly look: (isOver: boolean) => Answer | undefined;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: CairnError) => void;
  timer: Timer | undefined;
}

export class Waits<Key, Answer> {
  readonly #env: Env;
  readonly #max: number;
  readonly #byKey = new Map<Key, Set<Wait<Answer>>>();
  readonly #changed = new Set<Key>();
  #count = 0;

  /** @param max calls that wait at one time. */
  constructor(env: Env, max: number) {
    this.#env = env;
    this.#max = max;
  }

  get size(): number {
    return this.#count;
  }

  /**
   * Resolves with what `look` gives: asked now, at the end of each turn in which the key was said to have changed, and for the last
   * time after `waitMs`. @throws CairnError BUSY, what `look` throws, what `failAll` is given
   */
  wait(key: Key, waitMs: number, look: Wait<Answer>['look']): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const wait: Wait<Answer> = { look, resolve, reject, timer: undefined };
      if (this.#isSettled(wait, waitMs <= 0)) return;
      if (this.#count >= this.#max) {
        reject(new CairnError('BUSY', `${this.#max} calls wait for changes here; try again later`));
        return;
      }
      this.#add(key, wait);
      wait.timer = this.#env.clock.after(waitMs, () => {
        this.#remove(key, wait);
        this.#isSettled(wait, true);
      });
    });
  }

  changed(key: Key): void {
    if (this.#count === 0 || !this.#byKey.has(key)) return;
    if (this.#changed.size === 0) this.#env.clock.soon(() => this.#lookAtChanged());
    this.#changed.add(key);
  }

  failAll(error: CairnError): void {
    const all = [...this.#byKey.values()].flatMap((waits) => [...waits]);
    this.#byKey.clear();
    this.#changed.clear();
    this.#count = 0;
    for (const { timer, reject } of all) {
      timer?.cancel();
      reject(error);
    }
  }

  #lookAtChanged(): void {
    const keys = [...this.#changed];
    this.#changed.clear();
    for (const key of keys) {
      for (const wait of [...(this.#byKey.get(key) ?? [])]) if (this.#isSettled(wait, false)) this.#remove(key, wait);
    }
  }

  #isSettled({ look, resolve, reject }: Wait<Answer>, isOver: boolean): boolean {
    try {
      const answer = look(isOver);
      if (answer === undefined) return false;
      resolve(answer);
    } catch (thrown) {
      reject(toCairnError(thrown));
    }
    return true;
  }

  #add(key: Key, wait: Wait<Answer>): void {
    const waits = this.#byKey.get(key);
    if (waits === undefined) this.#byKey.set(key, new Set([wait]));
    else waits.add(wait);
    this.#count += 1;
  }

  #remove(key: Key, wait: Wait<Answer>): void {
    wait.timer?.cancel();
    const waits = this.#byKey.get(key);
    if (waits?.delete(wait) !== true) return;
    this.#count -= 1;
    if (waits.size === 0) this.#byKey.delete(key);
  }
}
