/** Another master that is asked who it is until there is an answer, and again when it may have changed. */
import type { Address } from '../../../core/base/brand.ts';
import type { Env, Timer } from '../../../core/base/env.ts';
import { type CairnError, toCairnError } from '../../../core/base/errors.ts';
import { masterCalls } from '../../../core/protocol/master-calls.ts';
import { decodeIntroduction, encodeIntroduction, type Introduction } from '../../../core/protocol/membership.ts';
import { RpcConnection } from '../../rpc/rpc-connection.ts';

const askAgainMinMs = 20;
const askAgainMaxMs = 250;
const answerMs = 500;

/** Asks once over a connection of its own. @throws CairnError what the other said, or why it could not be reached */
export async function introduceTo(
  env: Env,
  address: Address,
  own: Introduction,
  timeoutMs: number = answerMs,
): Promise<Introduction> {
  const rpc = RpcConnection.connect(env, address, masterCalls, undefined);
  try {
    const { response } = await rpc.call('introduce', encodeIntroduction(own), { timeoutMs });
    return decodeIntroduction(response, own.clusterId);
  } finally {
    rpc.close('it was only asked who it is');
  }
}

export class Acquaintance {
  readonly id: number;
  readonly address: Address;
  /** What it said last. */
  answer: Introduction | undefined;
  /** Why there is no answer. */
  failure: CairnError | undefined;
  readonly #env: Env;
  readonly #own: () => Introduction;
  readonly #changed: () => void;
  #pauseMs = askAgainMinMs;
  #timer: Timer | undefined;
  #isAsking = false;
  #isClosed = false;

  constructor(env: Env, id: number, address: Address, own: () => Introduction, changed: () => void) {
    this.#env = env;
    this.id = id;
    this.address = address;
    this.#own = own;
    this.#changed = changed;
  }

  /** At once, rather than after the pause. */
  ask(): void {
    if (this.#isAsking || this.#isClosed) return;
    this.#timer?.cancel();
    this.#isAsking = true;
    void this.#attempt();
  }

  /** It has introduced itself: it is asked at once if that is news. If each word were answered by a question, two masters would never be quiet. */
  heard({ instance, node }: Introduction): void {
    if (this.answer?.instance !== instance || this.answer.node !== node) this.ask();
  }

  async #attempt(): Promise<void> {
    try {
      this.answer = await introduceTo(this.#env, this.address, this.#own());
      this.failure = undefined;
    } catch (thrown) {
      this.answer = undefined;
      this.failure = toCairnError(thrown);
    }
    this.#isAsking = false;
    if (this.#isClosed) return;
    this.#timer = this.#env.clock.after(this.#pauseMs, () => this.ask());
    this.#pauseMs = Math.min(this.#pauseMs * 2, askAgainMaxMs);
    this.#changed();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }
}
