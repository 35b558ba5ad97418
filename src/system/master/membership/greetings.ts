/** How other masters take it when this one introduces itself, and what follows when they refuse it. */
import type { Address, NodeId } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { type CairnError, toCairnError } from '../../../core/base/errors.ts';
import { encodeIntroduction } from '../../../core/protocol/membership.ts';
import type { Members } from '../../rsm/replica.ts';
import { type PeerConnection, refusedForGood } from '../peers.ts';
import type { Leaving } from './leaving.ts';
import type { Self } from './self.ts';

const introductionMs = 5000;

export interface GreetingWorld {
  readonly env: Env;
  readonly self: Self;
  readonly leaving: Leaving;
  members(): Members;
  /** Where the node listens, as far as is known. */
  addressOf(node: NodeId): Address | undefined;
  onFailure(error: CairnError): void;
}

export class Greetings {
  readonly #world: GreetingWorld;
  readonly #accepted = new Set<NodeId>();
  readonly #refused = new Map<NodeId, CairnError>();

  constructor(world: GreetingWorld) {
    this.#world = world;
  }

  /** First on each connection. @throws CairnError why it was refused, or not answered */
  async greet(node: NodeId, rpc: PeerConnection, at: Address): Promise<void> {
    const { self, leaving } = this.#world;
    try {
      await rpc.call('introduce', encodeIntroduction(self.introduction(node)), { timeoutMs: introductionMs });
      this.#accepted.add(node);
      this.#refused.delete(node);
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (refusedForGood.has(error.code) && !leaving.isOver) this.#refusedBy(node, error, at);
      throw error;
    }
  }

  #refusedBy(node: NodeId, error: CairnError, at: Address): void {
    const { env, leaving, addressOf, onFailure } = this.#world;
    env.events.emit('error', 'master_refused', { by: node, at, code: error.code, why: error.message });
    if (error.code === 'NOT_A_MEMBER') void leaving.leave();
    else if (error.code === 'DUPLICATE_ID') onFailure(error);
    else if (at === addressOf(node)) {
      // One that refuses may be the one that is wrong; all of them are not. Where a master is only configured another may run.
      this.#refused.set(node, error);
      if (this.#accepted.size === 0 && this.#isRefusedByAll) onFailure(error);
    }
  }

  get #isRefusedByAll(): boolean {
    const { self, members } = this.#world;
    const others = members().voters.filter((voter) => voter !== self.node);
    return others.length > 0 && others.every((voter) => this.#refused.has(voter));
  }
}
