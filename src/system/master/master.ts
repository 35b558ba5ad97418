/**
 * A master: one replica of the metadata and, while it leads, the one that answers for the cluster. Dispatch only: what is asked here is
 * answered in reads.ts, changes.ts, leases.ts, heartbeats.ts and status.ts; what a leader does unasked begins in leader.ts.
 */
import type { Address, NodeId } from '../../core/base/brand.ts';
import type { BodySink, Connection, Listener } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { masterCalls, serverOrders } from '../../core/protocol/master-calls.ts';
import { protocolVersion } from '../../core/protocol/types.ts';
import { collectBody } from '../rpc/body.ts';
import type { CallContext, Handlers, PlainHandler, Routes } from '../rpc/handlers.ts';
import { routesOf } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { type Leadership, Replica } from '../rsm/replica.ts';
import * as changes from './changes.ts';
import type { ServerConnection } from './chunk-servers.ts';
import { Heartbeats, register } from './heartbeats.ts';
import { Leader } from './leader.ts';
import { defaultMasterTiming, type MasterAddress, type MasterOptions, type MasterTiming } from './options.ts';
import { Peers } from './peers.ts';
import * as reads from './reads.ts';
import { stoppedLeading } from './refusal.ts';
import { decodeResult, doneResult, encodeCommand } from './state/commands.ts';
import { MetadataMachine } from './state/metadata-machine.ts';
import { clusterStatus, ownStatus } from './status.ts';

/** Calls that wait for this master's leadership to be established. */
export const callsWaitingMax = 16_384;
const beginAgainMs = 20;
const consensusMessageMaxBytes = 32 * 1024 * 1024;

type Calls = typeof masterCalls;
interface LeaderWaiter {
  readonly resolve: (leader: Leader) => void;
  readonly reject: (error: CairnError) => void;
}

export class Master<Message = unknown, LogRecord = unknown> {
  readonly #options: MasterOptions<Message, LogRecord>;
  readonly #timing: MasterTiming;
  readonly #self: MasterAddress;
  readonly #machine = new MetadataMachine();
  readonly #peers: Peers;
  readonly #connections = new Set<ServerConnection>();
  #replica!: Replica<Message, LogRecord>;
  #listener: Listener | undefined;
  #leader: Leader | undefined;
  #heartbeats: Heartbeats | undefined;
  /** Leading, not yet established. */
  #isBeginning = false;
  #waiting: LeaderWaiter[] = [];
  #term = 0;
  #isClosed = false;

  private constructor(options: MasterOptions<Message, LogRecord>) {
    const self = options.masters.find(({ id }) => id === options.id);
    if (self === undefined)
      throw new CairnError('CONFIG_INVALID', `master ${options.id} is not among the masters; add it to their list`);
    this.#options = options;
    this.#timing = { ...defaultMasterTiming, ...options.timing };
    this.#self = self;
    this.#peers = new Peers(options.env, options.id, options.masters);
  }

  /**
   * Opens the metadata, joins the other masters and begins to answer. Closes what it was given (the store) with `stop`.
   * @throws CairnError PORT_IN_USE, LOG_CORRUPT, WRONG_FORMAT, WRONG_CLUSTER, DISK_FAILED, CONFIG_INVALID
   */
  static async start<Message, LogRecord>(
    options: MasterOptions<Message, LogRecord>,
  ): Promise<Master<Message, LogRecord>> {
    const master = new Master(options);
    const routes = routesOf(masterCalls, master.#handlers());
    master.#listener = await options.env.network.listen(master.#self.address, (connection) =>
      master.#accept(connection, routes),
    );
    try {
      await master.#openReplica();
    } catch (thrown) {
      await master.#listener.close();
      throw thrown;
    }
    return master;
  }

  async #openReplica(): Promise<void> {
    const { env, replica, onFailure } = this.#options;
    this.#replica = await Replica.open({
      env,
      ...replica,
      stateMachine: this.#machine,
      transport: this.#peers,
      onLeadership: (change) => this.#leadershipChanged(change),
      onFailure,
    });
    this.#peers.epoch = this.#replica.status.epoch;
    const found = this.#machine.tables.identity?.clusterId;
    if (found === undefined || found === this.#options.clusterId) return;
    await this.#replica.close();
    throw this.#wrongCluster(found);
  }

  #wrongCluster(found: string): CairnError {
    return new CairnError(
      'WRONG_CLUSTER',
      `the metadata is of cluster ${found}, not of ${this.#options.clusterId}; check --dir and the cluster's name`,
    );
  }

  get address(): Address {
    return this.#listener?.address ?? this.#self.address;
  }
  get isLeading(): boolean {
    return this.#leader !== undefined;
  }
  /** For tests and `status`. */
  get machine(): MetadataMachine {
    return this.#machine;
  }
  get replica(): Replica<Message, LogRecord> {
    return this.#replica;
  }

  async stop(): Promise<void> {
    this.#isClosed = true;
    this.#stopLeading();
    await this.#listener?.close();
    for (const connection of this.#connections) connection.close('this master stops');
    this.#peers.close();
    await this.#replica.close();
  }

  #accept(connection: Connection, routes: Routes): ServerConnection {
    const rpc: ServerConnection = RpcConnection.accept(this.#options.env, connection, serverOrders, routes, () =>
      this.#connections.delete(rpc),
    );
    this.#connections.add(rpc);
    return rpc;
  }

  // ---------------------------------------------------------------- leading

  #leadershipChanged({ leading, established, term }: Leadership): void {
    if (this.#isClosed) return;
    if (!leading || term !== this.#term) this.#stopLeading();
    this.#term = term;
    if (!leading) return;
    if (established && !this.#isBeginning && this.#leader === undefined) void this.#beginLeading(term);
  }

  /** Once everything of earlier leaders is applied, and the cluster is initialised. */
  async #beginLeading(term: number): Promise<void> {
    const { env, clusterId, defaults } = this.#options;
    this.#isBeginning = true;
    try {
      // Opening may be under way still: `onLeadership` can come before `open` has returned.
      await new Promise<void>((resolve) => env.clock.soon(resolve));
      await this.#replica.barrier();
      const result = await this.#replica.executeInternal(encodeCommand({ kind: 'initialise', clusterId, ...defaults }));
      const done = decodeResult(doneResult, result);
      if (!done.ok) this.#options.onFailure(new CairnError(done.code, done.message));
      else if (!this.#isClosed && this.#term === term && this.#replica.leadership.established) this.#lead(term);
    } catch (thrown) {
      const { code, message } = toCairnError(thrown);
      env.events.emit('warn', 'leading_not_begun', { term, code, why: message });
    } finally {
      this.#isBeginning = false;
    }
    if (this.#leader === undefined) this.#tryAgain();
  }

  /** Leadership may have been lost, or lost and won again, or the log was overrun. */
  #tryAgain(): void {
    this.#refuseWaiting();
    this.#options.env.clock.after(beginAgainMs, () => {
      const { leading, established, term } = this.#replica.leadership;
      const isDue = leading && established && this.#leader === undefined && !this.#isBeginning;
      if (isDue && !this.#isClosed) void this.#beginLeading(term);
    });
  }

  #lead(term: number): void {
    const { env, id } = this.#options;
    const leader = new Leader(env, this.#timing, this.#replica, this.#machine);
    this.#leader = leader;
    this.#heartbeats = new Heartbeats(leader);
    env.events.emit('info', 'master_leads', { master: id, term });
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(leader);
  }

  #stopLeading(): void {
    const leader = this.#leader;
    this.#leader = undefined;
    this.#heartbeats = undefined;
    leader?.stop();
    if (leader !== undefined)
      this.#options.env.events.emit('warn', 'master_leads_no_more', { master: this.#options.id });
    this.#refuseWaiting();
  }

  #refuseWaiting(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(stoppedLeading());
  }

  /** The leader in office here, waited for while it begins. @throws CairnError NOT_LEADER, BUSY */
  #leading(): Leader | Promise<Leader> {
    if (this.#leader !== undefined) return this.#leader;
    if (this.#replica?.leadership.leading !== true || this.#isClosed) throw stoppedLeading();
    if (this.#waiting.length >= callsWaitingMax)
      throw new CairnError('BUSY', 'this master has just been elected and is overrun; try again later');
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #leaderAddress(): Address | undefined {
    const leader = this.#replica?.leadership.leader;
    return this.#options.masters.find(({ id }) => id === leader)?.address;
  }

  /** NOT_LEADER says who leads, so that the caller asks there. */
  #redirected(thrown: unknown): CairnError {
    const error = toCairnError(thrown);
    if (error.code !== 'NOT_LEADER' || error.hint !== '') return error;
    const leader = this.#leaderAddress();
    const hint = leader === undefined || leader === this.#self.address ? '' : leader;
    const where = hint === '' ? 'none is known just now' : `ask ${hint}`;
    return new CairnError('NOT_LEADER', `master ${this.#self.id} does not lead; ${where}`, { cause: thrown, hint });
  }

  // ---------------------------------------------------------------- answering

  /** A call that only the leader answers. */
  #led<Kind extends keyof Calls>(
    answer: (leader: Leader, request: RequestOf<Calls[Kind]>, context: CallContext) => Promise<ResponseOf<Calls[Kind]>>,
  ): PlainHandler<Calls[Kind]> {
    return async (request, context) => {
      try {
        const leader = await this.#leading();
        return { response: await answer(leader, request, context) };
      } catch (thrown) {
        throw this.#redirected(thrown);
      }
    };
  }

  /** A read: of everything that was acknowledged before it was asked. */
  #read<Kind extends keyof Calls>(
    answer: (leader: Leader, request: RequestOf<Calls[Kind]>) => ResponseOf<Calls[Kind]>,
  ): PlainHandler<Calls[Kind]> {
    return this.#led<Kind>(async (leader, request) => {
      await leader.barrier();
      return answer(leader, request);
    });
  }

  #handlers(): Handlers<Calls> {
    const { clusterId } = this.#options;
    return {
      whoLeads: () => ({ response: this.#whoLeads() }),
      stat: this.#read<'stat'>(reads.stat),
      readdir: this.#read<'readdir'>(reads.readdir),
      locate: this.#read<'locate'>(reads.locate),
      awaitChange: this.#led<'awaitChange'>((leader, request) => leader.watches.awaitChange(request)),
      status: this.#led<'status'>(async (leader) => {
        await leader.barrier();
        return clusterStatus(leader, this.#peers, this.#options.masters, this.#ownStatus());
      }),
      openForWrite: this.#led<'openForWrite'>((leader, request) =>
        changes.openForWrite(this.#replica, leader, request),
      ),
      truncate: this.#led<'truncate'>((leader, request) => changes.truncate(this.#replica, leader, request)),
      mkdir: this.#led<'mkdir'>((leader, request) => changes.mkdir(this.#replica, leader, request)),
      set: this.#led<'set'>((leader, request) => changes.set(this.#replica, leader, request)),
      remove: this.#led<'remove'>((leader, request) => changes.remove(this.#replica, leader, request)),
      rename: this.#led<'rename'>((leader, request) => changes.rename(this.#replica, leader, request)),
      acquire: this.#led<'acquire'>(async (leader, request) => {
        await this.#replica.touch(request.id); // repeating it is harmless: it needs no session of its own
        return leader.leases.acquire(request);
      }),
      register: this.#led<'register'>((leader, request, { peer }) =>
        register(leader, clusterId, request, peer as ServerConnection),
      ),
      heartbeat: this.#led<'heartbeat'>((_, request, { peer }) => {
        if (this.#heartbeats === undefined) throw stoppedLeading();
        return this.#heartbeats.heartbeat(request, peer as ServerConnection);
      }),
      exclude: this.#led<'exclude'>((leader, request) => leader.leases.exclude(request)),
      consensus: { begin: (request, bodyBytes, context) => this.#consensus(request.from, bodyBytes, context) },
      snapshotPart: (request, _, body) => this.#snapshotPart(request, body),
      masterStatus: () => ({ response: this.#ownStatus() }),
    };
  }

  #whoLeads(): ResponseOf<Calls['whoLeads']> {
    const masters = this.#options.masters.map(({ address }) => address);
    return { clusterId: this.#options.clusterId, leader: this.#leaderAddress(), masters, protocolVersion };
  }

  #ownStatus() {
    if (this.#replica === undefined) throw new CairnError('UNAVAILABLE', 'this master is starting; try again later');
    return ownStatus(this.#replica, this.#self, this.#options.pid);
  }

  #consensus(from: NodeId, bodyBytes: number, context: CallContext): BodySink | undefined {
    if (!this.#peers.has(from) || bodyBytes === 0 || bodyBytes > consensusMessageMaxBytes)
      throw new CairnError(
        'PROTOCOL',
        `a message of ${bodyBytes} bytes from ${from} is none of a master of this cluster`,
      );
    const whole = (message: Uint8Array) => {
      context.reply({});
      if (!this.#isClosed) this.#replica?.receive(from, message);
    };
    return collectBody(bodyBytes, whole, () => context.reply({}));
  }

  async #snapshotPart({ from, epoch: _, ...part }: RequestOf<Calls['snapshotPart']>, body: Uint8Array) {
    if (!this.#peers.has(from) || this.#replica === undefined)
      throw new CairnError('PROTOCOL', `${from} is no other master of this cluster, or this one is starting`);
    return { response: { nextPart: await this.#replica.receiveSnapshotPart(from, part, body) } };
  }
}
