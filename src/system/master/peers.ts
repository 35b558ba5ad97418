/**
 * The other masters, as seen from this one: messages of the engine, parts of snapshots, and questions for `status`. Messages may be lost; the
 * engine copes. Snapshots go over connections of their own, so that nothing waits behind them.
 */
import type { Address, NodeId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type MasterStatus, masterCalls } from '../../core/protocol/master-calls.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import type { SnapshotPart, Transport } from '../rsm/replica.ts';
import type { MasterAddress } from './options.ts';

/** Messages for a peer that takes none are dropped beyond this. */
export const peerQueueMaxBytes = 32 * 1024 * 1024;
const backOffMinMs = 20;
const backOffMaxMs = 200;
const snapshotPartMs = 30_000;
const statusMs = 300;

export class Peers implements Transport {
  readonly #self: NodeId;
  readonly #links = new Map<NodeId, { readonly messages: PeerLink; readonly bulk: PeerLink }>();
  /** Which span of the log messages belong to. */
  epoch = 1;

  constructor(env: Env, self: NodeId, masters: readonly MasterAddress[]) {
    this.#self = self;
    for (const { id, address } of masters)
      if (id !== self) this.#links.set(id, { messages: new PeerLink(env, address), bulk: new PeerLink(env, address) });
  }

  has(id: NodeId): boolean {
    return this.#links.has(id);
  }

  send(to: NodeId, message: Uint8Array): void {
    const rpc = this.#links.get(to)?.messages.open();
    if (rpc === undefined || rpc.queuedBytes + message.length > peerQueueMaxBytes) return;
    rpc.notify('consensus', { from: this.#self, epoch: this.epoch }, [message]);
  }

  async sendSnapshotPart(to: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    const rpc = this.#links.get(to)?.bulk.open();
    if (rpc === undefined)
      throw new CairnError('UNAVAILABLE', `master ${to} cannot be reached just now; try again later`);
    const request = { from: this.#self, epoch: this.epoch, ...part };
    const answer = await rpc.call('snapshotPart', request, { body: [bytes], timeoutMs: snapshotPartMs });
    return answer.response.nextPart;
  }

  /** @throws CairnError when it does not answer soon */
  async status(of: NodeId): Promise<MasterStatus> {
    const rpc = this.#links.get(of)?.messages.open();
    if (rpc === undefined)
      throw new CairnError('UNAVAILABLE', `master ${of} cannot be reached just now; try again later`);
    return (await rpc.call('masterStatus', {}, { timeoutMs: statusMs })).response;
  }

  close(): void {
    for (const { messages, bulk } of this.#links.values()) {
      messages.close();
      bulk.close();
    }
  }
}

/** One connection to a peer, opened when something is to be sent, at growing intervals while it fails. */
class PeerLink {
  readonly #env: Env;
  readonly #address: Address;
  #rpc: RpcConnection<typeof masterCalls> | undefined;
  #openedAt = 0;
  #notBefore = 0;
  #backOffMs = backOffMinMs;
  #closed = false;

  constructor(env: Env, address: Address) {
    this.#env = env;
    this.#address = address;
  }

  /** Undefined while it has just failed. */
  open(): RpcConnection<typeof masterCalls> | undefined {
    if (this.#rpc !== undefined) return this.#rpc;
    const now = this.#env.clock.now();
    if (this.#closed || now < this.#notBefore) return undefined;
    this.#openedAt = now;
    this.#rpc = RpcConnection.connect(this.#env, this.#address, masterCalls, undefined, () => this.#lost());
    return this.#rpc;
  }

  #lost(): void {
    this.#rpc = undefined;
    const now = this.#env.clock.now();
    const lived = now - this.#openedAt > 2 * backOffMaxMs;
    this.#backOffMs = lived ? backOffMinMs : Math.min(this.#backOffMs * 2, backOffMaxMs);
    this.#notBefore = now + this.#backOffMs * (0.5 + this.#env.random.next() / 2);
  }

  close(): void {
    this.#closed = true;
    this.#rpc?.close('this master stops');
  }
}
