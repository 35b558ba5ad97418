/**
 * Names for commands, so that a retry takes effect once: one client id, sequences from 1, and with each command how far all
 * earlier answers are known. At most `commandsInFlightMax` are without an answer; beyond it callers wait, in order. The masters keep the
 * answers behind one that is missing, up to a bound: a command that hangs is left alone with its id before the others come to that.
 */
import type { Env } from '../../core/base/env.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { CommandId } from '../../core/protocol/types.ts';
import { commandSessionIdleMs, commandSessionSpanMax, commandsInFlightMax, commandsRefusedMax } from './limits.ts';

interface CommandSession {
  readonly client: number;
  next: number;
  /** All sequences below it are answered. */
  ackBelow: number;
  /** Answered ones at and above it. */
  readonly answered: Set<number>;
  /** A command succeeded: the masters know the client. Those who do not take an acknowledgement for that of a client they have forgotten. */
  isKnown: boolean;
}

export class CommandIds {
  readonly #env: Env;
  #session: CommandSession;
  #usedAt: number;
  readonly #waiting: (() => void)[] = [];

  constructor(env: Env) {
    this.#env = env;
    this.#session = begin(env);
    this.#usedAt = env.clock.now();
  }

  /** Runs one command under an id of its own. */
  async run<T>(send: (id: CommandId) => Promise<T>): Promise<T> {
    while (this.#inFlight >= commandsInFlightMax) await new Promise<void>((go) => this.#waiting.push(go));
    const session = this.#current();
    const sequence = session.next++;
    try {
      const ackBelow = session.isKnown ? session.ackBelow : 1;
      const answer = await send({ client: session.client, sequence, ackBelow });
      session.isKnown = true;
      return answer;
    } catch (thrown) {
      if (toCairnError(thrown).retry !== 'never') this.sessionExpired(session.client);
      throw thrown;
    } finally {
      this.#answered(session, sequence);
    }
  }

  /** The masters do not know this client any more, or perhaps not yet: later commands go under a new id. */
  sessionExpired(client: number): void {
    if (this.#session.client === client) this.#session = begin(this.#env);
  }

  get #inFlight(): number {
    const { next, ackBelow, answered } = this.#session;
    return next - ackBelow - answered.size;
  }

  #current(): CommandSession {
    const now = this.#env.clock.now();
    const { next, ackBelow, isKnown } = this.#session;
    const isIdle = this.#inFlight === 0 && now - this.#usedAt > commandSessionIdleMs;
    const isFull = next - ackBelow >= commandSessionSpanMax || (!isKnown && ackBelow > commandsRefusedMax);
    if (isIdle || isFull) this.#session = begin(this.#env);
    this.#usedAt = now;
    return this.#session;
  }

  #answered(session: CommandSession, sequence: number): void {
    session.answered.add(sequence);
    while (session.answered.delete(session.ackBelow)) session.ackBelow += 1;
    this.#usedAt = this.#env.clock.now();
    this.#waiting.shift()?.();
  }
}

function begin(env: Env): CommandSession {
  return { client: env.random.id53(), next: 1, ackBelow: 1, answered: new Set(), isKnown: false };
}
