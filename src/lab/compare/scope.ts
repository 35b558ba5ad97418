/** What an experiment starts, mounts or makes is registered here as it comes to be, and is undone in reverse order, whatever happened. */

export type Undo = () => Promise<void> | void;

export class Scope {
  readonly #undo: Undo[] = [];
  #closed: Promise<void> | undefined;

  /** @throws when the scope is closed already; what was to be registered is undone first. */
  async add(undo: Undo): Promise<void> {
    if (this.#closed === undefined) {
      this.#undo.push(undo);
      return;
    }
    await undo();
    throw new Error('the experiment has been stopped');
  }

  /** A scope within this one, for a part of the experiment; closing this one closes it too. */
  async inner(): Promise<Scope> {
    const inner = new Scope();
    await this.add(() => inner.close());
    return inner;
  }

  /** Undoes everything, each once, the last first. @throws AggregateError of what could not be undone, after all was tried */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const failures: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `could not tidy up: ${failures.map(String).join('; ')}`);
  }
}

/** Runs `work` in a scope of its own, which is closed before this returns or throws. */
export async function scoped<T>(outer: Scope, work: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = await outer.inner();
  try {
    return await work(scope);
  } finally {
    await scope.close();
  }
}
