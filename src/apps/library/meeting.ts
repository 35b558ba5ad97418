/**
 * How the members of an embedded group meet. Each introduces itself first on each connection; messages are taken only from members that run
 * on the same terms, so that no two ever make different things of one log.
 */
import type { Address, NodeId } from '../../core/base/brand.ts';
import { decode, encode, struct, text } from '../../core/base/codec.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { IntroductionFrame } from '../../core/protocol/membership.ts';
import { nodeId, protocolVersion } from '../../core/protocol/types.ts';
import { checkTerms } from '../../system/master/membership/terms.ts';
import { type PeerConnection, refusedForGood } from '../../system/master/peers.ts';

const introductionMs = 5000;
const introduction = struct({ id: nodeId, terms: text });

export interface MeetingWorld {
  readonly env: Env;
  readonly self: NodeId;
  readonly terms: string;
  readonly others: readonly NodeId[];
  /** All others refuse this member, with this among the reasons. Called once until one of them accepts it. */
  refusedByAll(error: CairnError): void;
}

export class Meeting {
  readonly #world: MeetingWorld;
  readonly #met = new WeakMap<object, NodeId>();
  readonly #refusedBy = new Set<NodeId>();

  constructor(world: MeetingWorld) {
    this.#world = world;
  }

  /** First on each connection to another member. @throws CairnError why it was refused, or not answered */
  async greet(node: NodeId, rpc: PeerConnection, at: Address): Promise<void> {
    try {
      await rpc.call('introduce', this.#introduction(), { timeoutMs: introductionMs });
      this.#refusedBy.delete(node);
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (refusedForGood.has(error.code)) this.#refused(node, at, error);
      throw error;
    }
  }

  /** Answers an introduction. @throws CairnError PROTOCOL, WRONG_CLUSTER, CONFIG_INVALID */
  introduce(frame: IntroductionFrame, peer: object): IntroductionFrame {
    const { self, terms, others } = this.#world;
    if (frame.protocolVersion !== protocolVersion)
      throw new CairnError(
        'PROTOCOL',
        `one member speaks protocol ${frame.protocolVersion}, another ${protocolVersion}; run the same version on all members`,
      );
    if (frame.clusterId !== '')
      throw new CairnError(
        'WRONG_CLUSTER',
        `a master of cluster ${frame.clusterId} met a member of a group; check the addresses`,
      );
    const other = decode(introduction, frame.rest);
    if (!others.includes(other.id))
      throw new CairnError('CONFIG_INVALID', `node ${other.id} is no other member of this group; list the same on all`);
    checkTerms('member', { id: self, terms }, other);
    this.#met.set(peer, other.id);
    return this.#introduction();
  }

  /** @throws CairnError PROTOCOL where what came over the connection is not from a member that has introduced itself */
  mustHaveMet(peer: object, from: NodeId): void {
    if (this.#met.get(peer) === from) return;
    throw new CairnError('PROTOCOL', `node ${from} has not introduced itself as another member of this group`);
  }

  #introduction(): IntroductionFrame {
    const { self, terms } = this.#world;
    return { protocolVersion, clusterId: '', rest: encode(introduction, { id: self, terms }) };
  }

  #refused(node: NodeId, at: Address, error: CairnError): void {
    const { env, others, refusedByAll } = this.#world;
    env.events.emit('error', 'member_refused', { by: node, at, code: error.code, why: error.message });
    if (this.#refusedBy.has(node)) return;
    this.#refusedBy.add(node);
    if (this.#refusedBy.size === others.length) refusedByAll(error);
  }
}
