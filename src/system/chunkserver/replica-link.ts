/**
 * The primary's way to one secondary: one connection for orders, images and adoptions, which the secondary takes in the order sent.
 * Mutations that are ready in one turn, of all chunks, go in one `apply`; while several are under way the next one gathers.
 */
import type { ServerId } from '../../core/base/brand.ts';
import type { TypeOf } from '../../core/base/codec.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, isErrorCode, toCairnError } from '../../core/base/errors.ts';
import { chunkCalls, type OrderedMutation } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes, type Replica } from '../../core/protocol/types.ts';
import { type Answer, RpcConnection } from '../rpc/rpc-connection.ts';
import type { Limits } from './limits.ts';

type ChunkCalls = typeof chunkCalls;

/** A mutation that a secondary is to apply. `dataId` undefined: the bytes go along. */
export interface SecondaryWrite {
  readonly order: Omit<OrderedMutation, 'from'>;
  readonly parts: readonly Uint8Array[];
  readonly pushed: { readonly dataId: number; readonly at: number } | undefined;
  /** Called once: by the secondary's answer, or by its failure to give one. */
  applied(server: ServerId, error: CairnError | undefined): void;
}

export class ReplicaLink {
  readonly replica: Replica;
  readonly #env: Env;
  readonly #self: ServerId;
  readonly #limits: Limits;
  #rpc: RpcConnection<ChunkCalls> | undefined;
  #queue: SecondaryWrite[] = [];
  #underWay = 0;
  #isPlanned = false;

  constructor(env: Env, self: ServerId, replica: Replica, limits: Limits) {
    this.#env = env;
    this.#self = self;
    this.replica = replica;
    this.#limits = limits;
  }

  get isIdle(): boolean {
    return this.#underWay === 0 && this.#queue.length === 0;
  }

  apply(write: SecondaryWrite): void {
    this.#queue.push(write);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#env.clock.soon(() => {
      this.#isPlanned = false;
      this.#flush();
    });
  }

  image(request: TypeOf<ChunkCalls['image']['request']>): Promise<Answer<TypeOf<ChunkCalls['image']['response']>>> {
    return this.#connection().call('image', request, { timeoutMs: this.#limits.replicaTimeoutMs });
  }

  adopt(request: TypeOf<ChunkCalls['adopt']['request']>, body: readonly Uint8Array[]): Promise<unknown> {
    return this.#connection().call('adopt', request, { body, timeoutMs: this.#limits.replicaTimeoutMs });
  }

  read(request: TypeOf<ChunkCalls['read']['request']>): Promise<Answer<TypeOf<ChunkCalls['read']['response']>>> {
    return this.#connection().call('read', request, { timeoutMs: this.#limits.replicaTimeoutMs });
  }

  close(reason: string): void {
    this.#rpc?.close(reason);
    this.#rpc = undefined;
  }

  #connection(): RpcConnection<ChunkCalls> {
    if (this.#rpc === undefined || this.#rpc.isClosed) {
      this.#rpc = RpcConnection.connect(this.#env, this.replica.address, chunkCalls, undefined);
    }
    return this.#rpc;
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.#underWay < this.#limits.appliesMax) this.#send(this.#takeGroup());
  }

  /** What was pushed goes by itself: it may wait there for its bytes, and the answer is for the whole group. */
  #takeGroup(): readonly SecondaryWrite[] {
    const isPushed = this.#queue[0]?.pushed !== undefined;
    let bytes = 0;
    let count = 0;
    for (const write of this.#queue) {
      if ((write.pushed !== undefined) !== isPushed) break;
      const more = write.pushed === undefined ? write.order.bytes : 0;
      if (count > 0 && (bytes + more > packetMaxBytes || count >= this.#limits.groupMutationsMax)) break;
      bytes += more;
      count += 1;
    }
    if (count < this.#queue.length) return this.#queue.splice(0, count);
    const all = this.#queue;
    this.#queue = [];
    return all;
  }

  #send(group: readonly SecondaryWrite[]): void {
    const body: Uint8Array[] = [];
    let bytes = 0;
    const mutations = group.map(({ order, parts, pushed }): OrderedMutation => {
      if (pushed !== undefined) return ordered(order, { kind: 'pushed', ...pushed });
      const at = bytes;
      for (const part of parts) body.push(part);
      bytes += order.bytes;
      return ordered(order, { kind: 'body', at });
    });
    this.#underWay += 1;
    const rpc = this.#connection();
    const sent = { rpc, heard: rpc.heard, position: rpc.givenBytes + bytes };
    rpc.call('apply', { from: this.#self, mutations }, { body, timeoutMs: this.#limits.replicaTimeoutMs }).then(
      ({ response }) => this.#answered(group, response.failures),
      (thrown) => this.#failed(sent, group, toCairnError(thrown)),
    );
  }

  #answered(group: readonly SecondaryWrite[], failures: TypeOf<ChunkCalls['apply']['response']>['failures']): void {
    this.#underWay -= 1;
    this.#flush();
    const { server } = this.replica;
    if (failures.length === 0) {
      for (const write of group) write.applied(server, undefined);
      return;
    }
    const errors = new Map(failures.map(({ at, code, message }) => [at, errorOf(code, message)]));
    for (const [at, write] of group.entries()) write.applied(server, errors.get(at));
  }

  #failed(sent: Sent, group: readonly SecondaryWrite[], error: CairnError): void {
    const { rpc } = sent;
    this.#underWay -= 1;
    if (error.code !== 'TIMED_OUT' || !isWaitedForAlone(sent)) {
      // What waits in its queue must not arrive later: the bytes of a mutation that has failed are used for others.
      rpc.close('it does not answer');
      if (this.#rpc === rpc) this.#rpc = undefined;
    }
    for (const write of group) write.applied(this.replica.server, error);
    this.#flush();
  }
}

/** A group that was sent: what was heard from the other end before, and how much was given to the connection with it. */
interface Sent {
  readonly rpc: RpcConnection<ChunkCalls>;
  readonly heard: number;
  readonly position: number;
}

/** All of it has left, and the other end has said something since: it has others to serve meanwhile, which must not fail with these. */
function isWaitedForAlone({ rpc, heard, position }: Sent): boolean {
  return rpc.heard !== heard && rpc.givenBytes - rpc.queuedBytes >= position;
}

/** Field by field, as each is made for every secondary. */
function ordered(order: SecondaryWrite['order'], from: OrderedMutation['from']): OrderedMutation {
  const { handle, version, serial, offset, bytes, crc, lengthBytes, window, isCut, sync } = order;
  return { handle, version, serial, offset, bytes, crc, lengthBytes, window, isCut, sync, from };
}

function errorOf(code: string, message: string): CairnError {
  return new CairnError(isErrorCode(code) ? code : 'INTERNAL', message);
}

/** The links of this server, by server and address. */
export class ReplicaLinks {
  readonly #env: Env;
  readonly #self: ServerId;
  readonly #limits: Limits;
  readonly #links = new Map<string, ReplicaLink>();

  constructor(env: Env, self: ServerId, limits: Limits) {
    this.#env = env;
    this.#self = self;
    this.#limits = limits;
  }

  to(replica: Replica): ReplicaLink {
    const key = `${replica.server}@${replica.address}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      this.#forgetOldAddresses(replica);
      link = new ReplicaLink(this.#env, this.#self, replica, this.#limits);
      this.#links.set(key, link);
    }
    return link;
  }

  close(reason: string): void {
    for (const link of this.#links.values()) link.close(reason);
    this.#links.clear();
  }

  /** A server that moved leaves links behind that nobody uses. */
  #forgetOldAddresses(replica: Replica): void {
    for (const [key, link] of this.#links) {
      if (link.replica.server !== replica.server || !link.isIdle) continue;
      link.close('the server has another address now');
      this.#links.delete(key);
    }
  }
}
