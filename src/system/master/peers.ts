/**
 * The other masters, as seen from this one: messages of the engine, parts of snapshots, and questions for `status`. Messages may be lost; the
 * engine copes. Snapshots go over connections of their own, so that nothing waits behind them.
 */
import type { Address, NodeId } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import { type MasterStatus, masterCalls } from '../../core/protocol/master-calls.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import type { SnapshotPart, Transport } from '../rsm/replica.ts';

/** Messages for a peer that takes none are dropped beyond this. */
export const peerQueueMaxBytes = 32 * 1024 * 1024;
const backOffMinMs = 20;
const backOffMaxMs = 200;
/** After a refusal that will not change soon. */
const refusedMs = 1000;
const snapshotPartMs = 30_000;
const statusMs = 300;
/**
 * A peer that cannot be reached says nothing, and TCP, which sends ever more seldom, would be silent for as long again once it can. So a connection that is
 * used and on which nothing has come for some ticks is asked for a sign of life, closed if there is none, and opened anew. Ticks are counted, not time.
 * The question waits behind what was sent before: a window of small messages is a megabyte at most, longer ones are told to be on their way.
 */
const tickMs = 500;
const silentTicksToClose = 4;
const committedMs = 2000;
/** Refusals of a greeting that do not pass by themselves. */
export const refusedForGood: ReadonlySet<ErrorCode> = new Set([
  'PROTOCOL',
  'WRONG_CLUSTER',
  'CONFIG_INVALID',
  'DUPLICATE_ID',
  'NOT_A_MEMBER',
]);

export interface PeersWorld {
  /** Where the node listens, as far as is known now. */
  addressOf(node: NodeId): Address | undefined;
  /** Where else to look for it when it is not there. Only with `greet`, which sees to it that it is this node that answers. */
  elsewhere?(node: NodeId): Address | undefined;
  /**
   * First on each connection to `node`; what follows does not wait for it. A throw closes the connection.
   * @param at the address that was connected to
   */
  greet?(node: NodeId, rpc: PeerConnection, at: Address): Promise<void>;
}

export type PeerConnection = RpcConnection<typeof masterCalls>;

interface Links {
  readonly address: Address;
  readonly messages: PeerLink;
  readonly bulk: PeerLink;
}

export class Peers implements Transport {
  readonly #env: Env;
  readonly #self: () => NodeId;
  readonly #world: PeersWorld;
  readonly #links = new Map<NodeId, Links>();
  #isClosed = false;
  /** Which span of the log messages belong to. */
  epoch = 1;

  constructor(env: Env, self: () => NodeId, world: PeersWorld) {
    this.#env = env;
    this.#self = self;
    this.#world = world;
  }

  send(to: NodeId, message: Uint8Array): void {
    const rpc = this.#linksTo(to)?.messages.open();
    if (rpc === undefined || rpc.queuedBytes + message.length > peerQueueMaxBytes) return;
    rpc.notify('consensus', { from: this.#self(), to, epoch: this.epoch }, [message]);
  }

  async sendSnapshotPart(to: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    const rpc = this.#linksTo(to)?.bulk.open();
    if (rpc === undefined)
      throw new CairnError('UNAVAILABLE', `master ${to} cannot be reached just now; try again later`);
    const request = { from: this.#self(), to, epoch: this.epoch, ...part };
    const answer = await rpc.call('snapshotPart', request, { body: [bytes], timeoutMs: snapshotPartMs });
    return answer.response.nextPart;
  }

  /** @throws CairnError when it does not answer soon */
  async status(of: NodeId, timeoutMs: number = statusMs): Promise<MasterStatus> {
    const rpc = this.#linksTo(of)?.messages.open();
    if (rpc === undefined)
      throw new CairnError('UNAVAILABLE', `master ${of} cannot be reached just now; try again later`);
    return (await rpc.call('masterStatus', {}, { timeoutMs })).response;
  }

  /** The time of day that it has. @throws CairnError when it does not answer soon */
  async timeOfDay(of: NodeId): Promise<number> {
    const rpc = this.#linksTo(of)?.messages.open();
    if (rpc === undefined)
      throw new CairnError('UNAVAILABLE', `master ${of} cannot be reached just now; try again later`);
    return (await rpc.call('timeOfDay', {}, { timeoutMs: statusMs })).response.wallNow;
  }

  /** Of the leader: up to where the log is committed. @throws CairnError when it does not answer soon, or leads no more */
  async committed(leader: NodeId): Promise<number> {
    const rpc = this.#linksTo(leader)?.messages.open();
    if (rpc === undefined)
      throw new CairnError('UNAVAILABLE', `master ${leader} cannot be reached just now; try again later`);
    return (await rpc.call('committed', {}, { timeoutMs: committedMs })).response.index;
  }

  /** Closes the connections to those who belong to the group no more. */
  keepOnly(belongs: (node: NodeId) => boolean): void {
    for (const node of [...this.#links.keys()]) if (!belongs(node)) this.#close(node);
  }

  /** The engine may go on for a while: nothing is opened for it any more. */
  close(): void {
    this.#isClosed = true;
    for (const node of [...this.#links.keys()]) this.#close(node);
  }

  /** Made when they are first wanted, and anew when the peer has moved. */
  #linksTo(node: NodeId): Links | undefined {
    if (this.#isClosed) return undefined;
    const address = this.#world.addressOf(node);
    const known = this.#links.get(node);
    if (address === undefined || known?.address === address) return known;
    this.#close(node);
    const link = () => new PeerLink(this.#env, this.#world, node, address);
    const links = { address, messages: link(), bulk: link() };
    this.#links.set(node, links);
    return links;
  }

  #close(node: NodeId): void {
    const links = this.#links.get(node);
    this.#links.delete(node);
    links?.messages.close();
    links?.bulk.close();
  }
}

/**
 * One connection to a peer, opened when something is to be sent, at growing intervals while it fails. When the peer does not answer where it is
 * said to be, the next attempt goes elsewhere, and so in turns.
 */
class PeerLink {
  readonly #env: Env;
  readonly #world: PeersWorld;
  readonly #node: NodeId;
  readonly #address: Address;
  #rpc: PeerConnection | undefined;
  #openedAt = 0;
  #notBefore = 0;
  #backOffMs = backOffMinMs;
  #looksElsewhere = false;
  #isGreeted = false;
  #isUsed = false;
  #tick: Timer | undefined;
  #closed = false;

  constructor(env: Env, world: PeersWorld, node: NodeId, address: Address) {
    this.#env = env;
    this.#world = world;
    this.#node = node;
    this.#address = address;
  }

  /** Undefined while it has just failed. */
  open(): PeerConnection | undefined {
    this.#isUsed = true;
    if (this.#rpc !== undefined) return this.#rpc;
    const now = this.#env.clock.now();
    if (this.#closed || now < this.#notBefore) return undefined;
    this.#openedAt = now;
    this.#isGreeted = false;
    const at = (this.#looksElsewhere ? this.#world.elsewhere?.(this.#node) : undefined) ?? this.#address;
    const rpc: PeerConnection = RpcConnection.connect(this.#env, at, masterCalls, undefined, () => this.#lost());
    this.#rpc = rpc;
    this.#watch(rpc, rpc.heard, 0);
    void this.#greet(rpc, at);
    return rpc;
  }

  #watch(rpc: PeerConnection, heard: number, silentTicks: number): void {
    this.#tick = this.#env.clock.after(tickMs, () => {
      const isSilent = this.#isUsed && rpc.heard === heard;
      this.#isUsed = false;
      if (isSilent && silentTicks + 1 === silentTicksToClose) return rpc.close('it does not answer');
      if (isSilent) void this.#askForLife(rpc);
      this.#watch(rpc, rpc.heard, isSilent ? silentTicks + 1 : 0);
    });
  }

  async #askForLife(rpc: PeerConnection): Promise<void> {
    try {
      await rpc.call('timeOfDay', {}, { timeoutMs: silentTicksToClose * tickMs });
    } catch (thrown) {
      // Any answer is one; that there is none is seen by the next ticks.
      const { code, message: why } = toCairnError(thrown);
      if (code === 'TIMED_OUT') this.#env.events.emit('debug', 'peer_silent', { node: this.#node, why });
    }
  }

  async #greet(rpc: PeerConnection, at: Address): Promise<void> {
    try {
      await this.#world.greet?.(this.#node, rpc, at);
      if (this.#rpc === rpc) this.#isGreeted = true;
    } catch (thrown) {
      if (refusedForGood.has(toCairnError(thrown).code)) this.#notBefore = this.#env.clock.now() + refusedMs;
      rpc.close('the greeting was not accepted');
    }
  }

  #lost(): void {
    this.#rpc = undefined;
    this.#tick?.cancel();
    if (!this.#isGreeted) this.#looksElsewhere = !this.#looksElsewhere;
    const now = this.#env.clock.now();
    const lived = now - this.#openedAt > 2 * backOffMaxMs;
    this.#backOffMs = lived ? backOffMinMs : Math.min(this.#backOffMs * 2, backOffMaxMs);
    this.#notBefore = Math.max(this.#notBefore, now + this.#backOffMs * (0.5 + this.#env.random.next() / 2));
  }

  close(): void {
    this.#closed = true;
    this.#rpc?.close('this connection is not needed any more');
  }
}
