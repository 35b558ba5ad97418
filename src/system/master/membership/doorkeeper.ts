/**
 * Who is at the other end of connections from other masters. Each begins with an introduction; messages of the group are taken only from
 * members, under their own name, meant for ours: what an earlier incarnation sent, or was sent, never arrives.
 */
import type { Address, NodeId } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { configuredIdOf, incarnationOf } from '../../../core/base/node-id.ts';
import {
  decodeIntroduction,
  encodeIntroduction,
  type Introduction,
  type IntroductionFrame,
} from '../../../core/protocol/membership.ts';
import { introduceTo } from './acquaintance.ts';
import type { Self } from './self.ts';

/** Members of whom it is remembered which of their processes was seen last. */
const rememberedMax = 64;
/** Whoever has taken the place of a process that still answers is told within this. */
const verifyMs = 300;

export interface DoorkeeperWorld {
  /** Whether the node was removed from the group, or replaced, for good. */
  isGone(node: NodeId): boolean;
  /** Before this master has its name. */
  met(other: Introduction): void;
  /** A member has introduced itself, and says where it is. */
  admitted(node: NodeId): void;
}

interface Seen {
  readonly instance: number;
  readonly address: Address;
}

/** A connection from another master. */
export interface Caller {
  readonly isClosed: boolean;
}

export class Doorkeeper<Peer extends Caller> {
  readonly #self: Self;
  readonly #world: DoorkeeperWorld;
  readonly #nodes = new Map<Peer, NodeId>();
  readonly #seen = new Map<NodeId, Seen>();

  constructor(self: Self, world: DoorkeeperWorld) {
    this.#self = self;
    this.#world = world;
  }

  /**
   * Answers an introduction. @throws CairnError PROTOCOL, WRONG_CLUSTER, CONFIG_INVALID, DUPLICATE_ID; NOT_A_MEMBER to whom was removed;
   * ABORTED to whom takes this master for another
   */
  async introduce(frame: IntroductionFrame, peer: Peer): Promise<IntroductionFrame> {
    const self = this.#self;
    const other = decodeIntroduction(frame, self.clusterId);
    if (other.instance === self.instance)
      throw new CairnError('ABORTED', 'this is the asker itself; nothing is to be done');
    if (other.id === self.id) throw duplicate(other.id, self.address);
    self.checkTerms(other);
    this.#world.met(other);
    if (other.node !== undefined && other.to !== undefined) await this.#admit(other.node, other, peer);
    return encodeIntroduction(self.introduction(other.node));
  }

  /** Who may send messages over this connection. */
  nodeOf(peer: Peer): NodeId | undefined {
    return this.#nodes.get(peer);
  }

  /** Where the node was when it introduced itself last. */
  addressOf(node: NodeId): Address | undefined {
    return this.#seen.get(node)?.address;
  }

  closed(peer: Peer): void {
    this.#nodes.delete(peer);
  }

  /** Connections of nodes that are gone now. */
  takeGone(): Peer[] {
    const gone = [...this.#nodes].filter(([, node]) => this.#world.isGone(node)).map(([peer]) => peer);
    for (const peer of gone) this.#nodes.delete(peer);
    return gone;
  }

  async #admit(node: NodeId, other: Introduction, peer: Peer): Promise<void> {
    const self = this.#self;
    if (self.record.node === undefined || other.to !== self.record.node)
      throw new CairnError(
        'ABORTED',
        `this is ${describe(self.record.node)}, not ${describe(other.to)}; nothing is to be done`,
      );
    const before = this.#seen.get(node);
    if (before !== undefined && before.instance !== other.instance && (await this.#lives(before)))
      throw duplicate(other.id, before.address);
    // It may have been removed, or have gone, while its former process was looked for.
    if (this.#world.isGone(node)) throw notAMember(node);
    if (peer.isClosed) throw new CairnError('ABORTED', 'the connection was closed; nothing is to be done');
    this.#remember(node, other);
    this.#nodes.set(peer, node);
    this.#world.admitted(node);
  }

  /** Whether the process that was seen before still runs: then the one that comes now has no right to its name. */
  async #lives({ instance, address }: Seen): Promise<boolean> {
    const self = this.#self;
    const answer = await introduceTo(self.env, address, self.introduction(), verifyMs).catch(() => undefined); // it is gone
    return answer?.instance === instance;
  }

  #remember(node: NodeId, { instance, address }: Introduction): void {
    this.#seen.delete(node);
    this.#seen.set(node, { instance, address });
    if (this.#seen.size > rememberedMax) this.#seen.delete(this.#seen.keys().next().value!);
  }
}

export function notAMember(node: NodeId): CairnError {
  return new CairnError(
    'NOT_A_MEMBER',
    `${describe(node)} was removed from the cluster, or another has taken its place; to have a master here again, empty its directory and add it with \`cairn consensus add\``,
  );
}

function duplicate(id: number, address: Address): CairnError {
  return new CairnError(
    'DUPLICATE_ID',
    `master ${id} runs at ${address} already; give each master an id and a directory of its own`,
  );
}

function describe(node: NodeId | undefined): string {
  if (node === undefined) return 'a master without a name yet';
  const incarnation = incarnationOf(node);
  return `master ${configuredIdOf(node)}${incarnation === 0 ? '' : ` (incarnation ${incarnation})`}`;
}
