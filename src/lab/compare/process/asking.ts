/** Questions and answers between the lab and a process of its own, over the channel between them. */
import type { OwnedProcess } from './owned-process.ts';

interface Question {
  readonly id: number;
  readonly what: string;
  readonly value: unknown;
}
type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

/** What a role answers: one function for each question. */
export type Answers = Readonly<Record<string, (value: never) => unknown>>;

/** The asking side. One for each process; questions may overlap. */
export class Asking<A extends Answers> {
  readonly #process: OwnedProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #nextId = 1;

  constructor(process: OwnedProcess) {
    this.#process = process;
    process.child.on('message', (message) => this.#answered(message as Answer));
    void process.ended.then(() => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`${process.name} ended\n${process.lastWords()}`));
      this.#waiting.clear();
    });
  }

  get process(): OwnedProcess {
    return this.#process;
  }

  ask<K extends keyof A & string>(what: K, value: Parameters<A[K]>[0]): Promise<Awaited<ReturnType<A[K]>>> {
    const id = this.#nextId++;
    const question: Question = { id, what, value };
    return new Promise((resolve, reject) => {
      if (!this.#process.isRunning) {
        reject(new Error(`${this.#process.name} does not run\n${this.#process.lastWords()}`));
        return;
      }
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#process.child.send(question);
    });
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(new Error(`${this.#process.name}: ${answer.error}`));
    else waiting?.resolve(answer.value);
  }
}

/** The answering side: serves until the lab is gone. */
export function answer<A extends Answers>(answers: A): void {
  process.on('SIGINT', () => {}); // Ctrl-C reaches the whole group: the lab ends us in its order
  process.once('SIGTERM', () => process.exit(0));
  process.once('disconnect', () => process.exit(0));
  process.on('message', (message) => {
    const { id, what, value } = message as Question;
    Promise.resolve()
      .then(() => (answers[what] as (value: unknown) => unknown)(value))
      .then(
        (value) => process.send!({ id, value } satisfies Answer),
        (error: Error) => process.send!({ id, error: error.stack ?? String(error) } satisfies Answer),
      );
  });
}
