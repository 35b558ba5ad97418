/**
 * A master: one replica of the metadata and, while it leads, the one that answers for the cluster. Dispatch only: what is asked here is
 * answered in settled-reads.ts, changes.ts, leases.ts, heartbeats.ts, status.ts and membership/; what a leader does unasked begins in leader.ts.
 */
import type { Address, NodeId } from '../../core/base/brand.ts';
import type { BodySink, Connection, Listener } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { configuredIdOf } from '../../core/base/node-id.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { masterCalls, serverOrders } from '../../core/protocol/master-calls.ts';
import { protocolVersion } from '../../core/protocol/types.ts';
import { collectBody } from '../rpc/body.ts';
import type { CallContext, Handlers, PlainHandler, Routes } from '../rpc/handlers.ts';
import { routesOf } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import type { Replica } from '../rsm/replica.ts';
import { agreedTime } from './agreed-time.ts';
import * as changes from './changes.ts';
import type { ServerConnection } from './chunk-servers.ts';
import { register } from './heartbeats.ts';
import type { Leader } from './leader.ts';
import { Group } from './membership/group.ts';
import { Keeper } from './membership/keeper.ts';
import * as requests from './membership/requests.ts';
import { Office } from './office.ts';
import { defaultMasterTiming, type MasterOptions } from './options.ts';
import { valueOrThrow } from './refusal.ts';
import * as settledReads from './settled-reads.ts';
import { ShadowReads } from './shadow.ts';
import { type Command, doneResult } from './state/commands.ts';
import { MetadataMachine } from './state/metadata-machine.ts';
import { clusterStatus, ownStatus } from './status.ts';

const consensusMessageMaxBytes = 32 * 1024 * 1024;

type Calls = typeof masterCalls;

export class Master<Message = unknown, LogRecord = unknown> {
  readonly #options: MasterOptions<Message, LogRecord>;
  readonly #configuredAddress: Address;
  readonly #machine = new MetadataMachine();
  readonly #connections = new Set<ServerConnection>();
  readonly #office: Office;
  readonly #shadow: ShadowReads;
  #group!: Group<Message, LogRecord, ServerConnection>;
  #listener: Listener | undefined;

  private constructor(options: MasterOptions<Message, LogRecord>) {
    const address = options.masters.find(({ id }) => id === options.id)?.address ?? options.address;
    if (address === undefined)
      throw new CairnError(
        'CONFIG_INVALID',
        `master ${options.id} is not among the masters; add it to their list, or say where it listens`,
      );
    this.#options = options;
    this.#configuredAddress = address;
    const { env, id, onFailure } = options;
    this.#office = new Office({
      ...{ env, id, onFailure, machine: this.#machine },
      timing: { ...defaultMasterTiming, ...options.timing },
      replica: () => this.#group.replica as Replica | undefined,
      opening: () => this.#opening(),
      keeper: (leader) => this.#makeKeeper(leader),
      agreedTime: () => this.#agreedTime(),
    });
    this.#shadow = new ShadowReads({
      env,
      tables: () => this.#machine.tables,
      appliedIndex: () => this.#group.replica?.appliedIndex ?? 0,
      askLeader: () => this.#committed(),
    });
  }

  /**
   * Joins the other masters (which may take until they are there), opens the metadata and begins to answer. Closes what it was given (the
   * store) with `stop`.
   * @throws CairnError PORT_IN_USE, LOG_CORRUPT, WRONG_FORMAT, WRONG_CLUSTER, NOT_A_MEMBER, DUPLICATE_ID, DISK_FAILED, CONFIG_INVALID
   */
  static async start<Message, LogRecord>(
    options: MasterOptions<Message, LogRecord>,
  ): Promise<Master<Message, LogRecord>> {
    const master = new Master(options);
    master.#group = await Group.read(options, master.#configuredAddress, master.#machine, {
      leadershipChanged: (change) => master.#office.leadershipChanged(change),
      applied: () => master.#shadow.applied(),
      rosterChanged: () => master.#rosterChanged(),
    });
    const routes = routesOf(masterCalls, master.#handlers());
    master.#listener = await options.env.network.listen(master.#configuredAddress, (connection) =>
      master.#accept(connection, routes),
    );
    try {
      await master.#group.takePart();
      await master.#checkCluster();
      master.#shadow.start();
    } catch (thrown) {
      await master.#listener.close();
      throw thrown;
    }
    return master;
  }

  async #checkCluster(): Promise<void> {
    const found = this.#machine.tables.identity?.clusterId;
    const { clusterId } = this.#options;
    if (found === undefined || found === clusterId) return;
    await this.#group.close();
    throw new CairnError(
      'WRONG_CLUSTER',
      `the metadata is of cluster ${found}, not of ${clusterId}; check --dir and the cluster's name`,
    );
  }

  get address(): Address {
    return this.#listener?.address ?? this.#configuredAddress;
  }
  get isLeading(): boolean {
    return this.#office.leader !== undefined;
  }
  /** For tests and `status`. */
  get machine(): MetadataMachine {
    return this.#machine;
  }
  get replica(): Replica<Message, LogRecord> {
    return this.#group.replica!;
  }
  /** Its name in the group. */
  get node(): NodeId {
    return this.#group.self.node;
  }

  async stop(): Promise<void> {
    this.#shadow.stop();
    this.#office.close();
    await this.#listener?.close();
    for (const connection of this.#connections) connection.close('this master stops');
    await this.#group.close();
  }

  #accept(connection: Connection, routes: Routes): ServerConnection {
    const rpc: ServerConnection = RpcConnection.accept(this.#options.env, connection, serverOrders, routes, () => {
      this.#connections.delete(rpc);
      this.#group.doorkeeper.closed(rpc);
    });
    this.#connections.add(rpc);
    return rpc;
  }

  // ---------------------------------------------------------------- leading

  /** The cluster is initialised, and its founders are booked: both once, by the first leader that succeeds. */
  #opening(): readonly Command[] {
    const { clusterId, defaults } = this.#options;
    const { founders } = this.#group.self.record;
    const { voters, nonVoters } = this.#group.members;
    const unbooked = [...voters, ...nonVoters].filter(
      (node) => !this.#machine.tables.roster.knows(configuredIdOf(node)),
    );
    const masters = unbooked.flatMap((node) => {
      const id = configuredIdOf(node);
      const address = this.#group.addressOf(node);
      const directory = founders.find((founder) => founder.id === id)?.directory ?? 0;
      return address === undefined ? [] : [{ id, address, directory }];
    });
    const initialise = { kind: 'initialise', clusterId, ...defaults } as const;
    return masters.length === 0 ? [initialise] : [initialise, { kind: 'foundMasters', masters }];
  }

  #makeKeeper(leader: Leader): Keeper {
    const group = this.#group;
    const { env } = this.#options;
    return new Keeper({
      env,
      self: group.self.node,
      roster: () => group.roster,
      status: () => this.replica.status,
      isReachable: (node) => group.isReachable(node),
      toldAddress: (node) => group.addressOf(node),
      control: (request) => this.replica.control(request),
      move: async (node, address) =>
        void valueOrThrow(await leader.execute({ kind: 'moveMaster', node, address }, doneResult)),
    });
  }

  #agreedTime(): Promise<number | undefined> {
    const { members, self, peers } = this.#group;
    const others = members.voters.filter((node) => node !== self.node);
    return agreedTime(
      () => this.#options.env.clock.wallNow(),
      others.map((node) => () => peers.timeOfDay(node)),
    );
  }

  #rosterChanged(): void {
    for (const peer of this.#group.doorkeeper.takeGone()) peer.close('it was removed from the group');
    this.#office.rosterChanged();
  }

  #leaderAddress(): Address | undefined {
    const leader = this.#group.replica?.leadership.leader;
    return leader === undefined ? undefined : this.#group.addressOf(leader);
  }

  /** NOT_LEADER says who leads, so that the caller asks there. */
  #redirected(thrown: unknown): CairnError {
    const error = toCairnError(thrown);
    if (error.code !== 'NOT_LEADER' || error.hint !== '') return error;
    const leader = this.#leaderAddress();
    const hint = leader === undefined || leader === this.#configuredAddress ? '' : leader;
    const nobody = this.#group.replica === undefined ? this.#group.waitsFor : 'none is known just now';
    const what = `master ${this.#options.id} does not lead; ${hint === '' ? nobody : `ask ${hint}`}`;
    return new CairnError('NOT_LEADER', what, { cause: thrown, hint });
  }

  // ---------------------------------------------------------------- answering

  /** A call that only the leader answers. */
  #led<Kind extends keyof Calls>(
    answer: (leader: Leader, request: RequestOf<Calls[Kind]>, context: CallContext) => Promise<ResponseOf<Calls[Kind]>>,
  ): PlainHandler<Calls[Kind]> {
    return async (request, context) => {
      try {
        const leader = await this.#office.leading();
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

  /** Of the group itself, as the log has it now. */
  #asked<Kind extends keyof Calls>(
    answer: (world: requests.RequestWorld, request: RequestOf<Calls[Kind]>) => Promise<ResponseOf<Calls[Kind]>>,
  ): PlainHandler<Calls[Kind]> {
    return this.#led<Kind>(async (leader, request) => {
      await leader.barrier();
      return answer(this.#requestWorld(leader), request);
    });
  }

  #requestWorld(leader: Leader): requests.RequestWorld {
    return {
      leader,
      self: this.#group.self,
      keeper: this.#office.keeper,
      roster: () => this.#group.roster,
      lagOf: (node) => this.replica.status.lagPerPeer.get(node),
      answers: (node, withinMs) =>
        this.#group.peers.status(node, withinMs).then(
          () => true,
          () => false, // whatever the reason
        ),
      transfer: (to) => this.replica.control({ kind: 'transferLeadership', to }),
    };
  }

  #handlers(): Handlers<Calls> {
    const { clusterId } = this.#options;
    return {
      whoLeads: () => ({ response: this.#whoLeads() }),
      stat: this.#led<'stat'>(settledReads.stat),
      readdir: this.#led<'readdir'>(settledReads.readdir),
      locate: this.#read<'locate'>(settledReads.locate),
      shadow: async (request) => ({ response: await this.#shadow.read(request) }),
      awaitChange: this.#led<'awaitChange'>((leader, request) => leader.watches.awaitChange(request)),
      status: this.#led<'status'>(async (leader) => {
        await leader.barrier();
        return this.#clusterStatus(leader);
      }),
      openForWrite: this.#led<'openForWrite'>((leader, request) =>
        changes.openForWrite(this.#replica, leader, request),
      ),
      truncate: this.#led<'truncate'>((leader, request) => changes.truncate(this.#replica, leader, request)),
      mkdir: this.#led<'mkdir'>((leader, request) => changes.mkdir(this.#replica, leader, request)),
      discard: this.#led<'discard'>((leader, request) => changes.discard(this.#replica, leader, request)),
      restore: this.#led<'restore'>((leader, request) => changes.restore(this.#replica, leader, request)),
      emptyTrash: this.#led<'emptyTrash'>((leader, request) => changes.emptyTrash(this.#replica, leader, request)),
      trash: this.#read<'trash'>((leader, request) => leader.trash.list(request)),
      fileSnapshot: this.#led<'fileSnapshot'>((leader, request) =>
        changes.fileSnapshot(this.#replica, leader, request),
      ),
      drain: this.#led<'drain'>((leader, request) => changes.drain(this.#replica, leader, request)),
      set: this.#led<'set'>((leader, request) => changes.set(this.#replica, leader, request)),
      remove: this.#led<'remove'>((leader, request) => changes.remove(this.#replica, leader, request)),
      rename: this.#led<'rename'>((leader, request) => changes.rename(this.#replica, leader, request)),
      acquire: this.#led<'acquire'>(async (leader, request) => {
        await this.replica.touch(request.id); // repeating it is harmless: it needs no session of its own
        const acquired = await leader.leases.acquire(request);
        leader.used(acquired.grant.handle);
        return acquired;
      }),
      register: this.#led<'register'>((leader, request, { peer }) =>
        register(leader, clusterId, request, peer as ServerConnection),
      ),
      heartbeat: this.#led<'heartbeat'>((_, request, { peer }) =>
        this.#office.heartbeats.heartbeat(request, peer as ServerConnection),
      ),
      exclude: this.#led<'exclude'>((leader, request) => leader.leases.exclude(request)),
      ...this.#groupHandlers(),
    };
  }

  #groupHandlers(): Handlers<Calls> {
    return {
      transferLeadership: this.#asked<'transferLeadership'>((world, { id }) => requests.transferLeadership(world, id)),
      addMaster: this.#asked<'addMaster'>((world, { address }) => requests.addMaster(world, address)),
      removeMaster: this.#asked<'removeMaster'>((world, { id }) => requests.removeMaster(world, id)),
      joinGroup: this.#asked<'joinGroup'>(requests.joinGroup),
      introduce: async (frame, { peer }) => ({
        response: await this.#group.introduce(frame, peer as ServerConnection),
      }),
      consensus: { begin: (request, bodyBytes, context) => this.#consensus(request, bodyBytes, context) },
      snapshotPart: (request, { peer }, body) => this.#snapshotPart(request, peer as ServerConnection, body),
      masterStatus: () => ({ response: this.#ownStatus() }),
      timeOfDay: () => ({ response: { wallNow: this.#options.env.clock.wallNow() } }),
      committed: this.#led<'committed'>(async (leader) => {
        await leader.barrier();
        return { index: this.replica.appliedIndex };
      }),
    };
  }

  get #replica(): Replica<Message, LogRecord> {
    return this.replica;
  }

  #whoLeads(): ResponseOf<Calls['whoLeads']> {
    const { clusterId, masters } = this.#options;
    const booked = this.#group.replica === undefined ? [] : this.#group.roster.members;
    const known = booked.length > 0 ? booked : masters;
    return { clusterId, leader: this.#leaderAddress(), masters: known.map(({ address }) => address), protocolVersion };
  }

  #ownStatus() {
    const { replica, self, waitsFor } = this.#group;
    if (replica === undefined) throw new CairnError('UNAVAILABLE', `this master is starting: ${waitsFor}`);
    const { pid } = this.#options;
    return ownStatus(
      replica,
      self.node,
      this.#configuredAddress,
      pid,
      this.#options.replica.config.elector ?? 'timeout',
    );
  }

  #clusterStatus(leader: Leader) {
    const { keeper } = this.#office;
    return clusterStatus({ leader, keeper, group: this.#group, replica: this.replica, own: this.#ownStatus() });
  }

  /** Up to where the log is committed, from whoever leads. @throws CairnError NOT_LEADER, UNAVAILABLE, TIMED_OUT */
  async #committed(): Promise<number> {
    const { leading, leader: other } = this.replica.leadership;
    if (!leading && other !== undefined) return this.#group.peers.committed(other);
    const leader = await this.#office.leading();
    await leader.barrier();
    return this.replica.appliedIndex;
  }

  // ---------------------------------------------------------------- messages of the group

  /** What does not come from a member, under its own name and for this one, is dropped: messages may be lost. */
  #consensus(
    { from, to, epoch }: RequestOf<Calls['consensus']>,
    bodyBytes: number,
    context: CallContext,
  ): BodySink | undefined {
    const peer = context.peer as ServerConnection;
    const isTaken = bodyBytes <= consensusMessageMaxBytes && this.#group.takes(peer, from, to, epoch);
    if (bodyBytes === 0 || !isTaken) {
      context.reply({});
      return undefined;
    }
    const whole = (message: Uint8Array) => {
      context.reply({});
      if (!this.#group.receive(from, message)) peer.close('it sends messages that cannot be read');
    };
    return collectBody(bodyBytes, whole, () => context.reply({}));
  }

  async #snapshotPart(request: RequestOf<Calls['snapshotPart']>, peer: ServerConnection, body: Uint8Array) {
    const { from, to, epoch, ...part } = request;
    if (!this.#group.takes(peer, from, to, epoch))
      throw new CairnError('PROTOCOL', `a snapshot of ${from} for ${to} is not taken here; it will be sent again`);
    return { response: { nextPart: await this.#group.receiveSnapshotPart(from, part, body) } };
  }
}
