/**
 * A chunkserver: holds replicas of chunks, takes mutations as primary and as secondary, serves reads, and does what the leading master
 * orders. This file puts the parts together; each has its own.
 */
import type { Address, ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { Connection, Env, Listener } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { chunkCalls, windowPerWriterMax, windowWritersMax } from '../../core/protocol/chunk-calls.ts';
import { masterCalls, serverOrders } from '../../core/protocol/master-calls.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { routesOf } from '../rpc/handlers.ts';
import { LeaderChannel } from '../rpc/leader-channel.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import type { ChunkStore, ChunkStoreOptions } from '../storage/chunk-store.ts';
import { openChunkStore } from '../storage/chunks/open-chunk-store.ts';
import { Activity } from './activity.ts';
import { ApplyHandler } from './apply.ts';
import { BytePool, FreshBytes, SmallBytePool } from './byte-pool.ts';
import { ChunkWriter } from './chunk-writer.ts';
import { Departures } from './departures.ts';
import { Fences } from './fences.ts';
import { awaitGrowth, type GrowthWorld, makeGrowthWaits } from './growth.ts';
import { Heartbeats, type MasterChannel } from './heartbeats.ts';
import { adoptImage, showImage } from './image-calls.ts';
import { Intake } from './intake.ts';
import { Inventory } from './inventory.ts';
import { Leases } from './leases.ts';
import { type Limits, limitsDefault } from './limits.ts';
import { MutateHandler } from './mutate.ts';
import { Orders } from './orders.ts';
import { Pipeline } from './pipeline.ts';
import { PushHandler } from './push.ts';
import { ReadHandler, readBufferBytes } from './reads.ts';
import { ReplicaLinks } from './replica-link.ts';
import { Scrubber } from './scrubber.ts';
import { Secondary } from './secondary.ts';
import { Session } from './session.ts';
import { Staging } from './staging.ts';

export interface ChunkserverOptions {
  readonly env: Env;
  /** For ever bound to the directory of the store. */
  readonly server: ServerId;
  readonly clusterId: string;
  /** Where to listen; port 0 takes any free one. */
  readonly address: Address;
  /** Where others reach it, if that is another address than the one it listens on. */
  readonly advertise?: Address;
  readonly masters: readonly Address[];
  readonly rack: string;
  readonly pid: number;
  readonly store: StoreOptions;
  readonly limits?: Partial<Limits>;
  /** The masters refuse this server for good (another cluster, an id that is taken): the process must stop. */
  readonly onRefused?: (error: CairnError) => void;
  /** The disk has failed such that the store takes no more changes: the process must stop; its next start replays and checks. */
  readonly onDiskFailed?: (error: CairnError) => void;
}

/** What the protocol does not decide. */
export type StoreOptions = Omit<ChunkStoreOptions, 'badBlocks' | 'windowEntriesPerWriter' | 'windowWriters'>;

export interface ServerLoad {
  /** Of clients' mutations that are not answered yet. */
  readonly mutationBytes: number;
  /** Pushed here, and not ordered yet. */
  readonly stagedBytes: number;
  /** Being read, or waiting to leave. */
  readonly readBytes: number;
  /** In use: for bulk bytes that arrive, wait, are written or passed on. */
  readonly bulkBuffers: number;
  /** The same for small bodies. */
  readonly smallBuffers: number;
  readonly leases: number;
  readonly connections: number;
}

const masterDeadlineMs = 5000;

export class Chunkserver {
  readonly #options: ChunkserverOptions;
  readonly #store: ChunkStore;
  readonly #session: Session;
  readonly #leases: Leases;
  readonly #writer: ChunkWriter;
  readonly #links: ReplicaLinks;
  readonly #secondary: Secondary;
  readonly #pipeline: Pipeline;
  readonly #staging: Staging;
  readonly #intake: Intake;
  readonly #reads: ReadHandler;
  readonly #departures: Departures;
  readonly #bulkPools: readonly BytePool[];
  readonly #smallPool: SmallBytePool;
  readonly #mutations: MutateHandler;
  readonly #heartbeats: Heartbeats;
  readonly #channel: MasterChannel;
  readonly #push: PushHandler;
  readonly #apply: ApplyHandler;
  readonly #growth: GrowthWorld;
  readonly #scrubber: Scrubber;
  readonly #images: Parameters<typeof showImage>[0];
  readonly #connections = new Set<RpcConnection<typeof chunkCalls>>();
  #listener: Listener | undefined;

  private constructor(options: ChunkserverOptions, store: ChunkStore, inventory: Inventory) {
    const { env, server: self } = options;
    const limits = { ...limitsDefault, ...options.limits };
    this.#options = options;
    this.#store = store;
    const session = new Session(env);
    const fences = new Fences();
    const waits = makeGrowthWaits(env, limits.growthWaitsMax);
    const changed = (handle: ChunkHandle) => waits.changed(handle);
    const writer = new ChunkWriter(env, store, limits, {
      storeFailed: (error) => options.onDiskFailed?.(error),
      changed,
    });
    this.#writer = writer;
    const links = new ReplicaLinks(env, self, limits);
    const staging = new Staging(env, limits);
    const intake = new Intake(env, limits);
    const departures = new Departures(env);
    const pipeline = new Pipeline(env, limits, departures);
    const allocate = (bytes: number) => env.disk.allocate(bytes);
    const pool = new BytePool(allocate, packetMaxBytes, limits.bulkMutationsMax);
    const pushPool = new BytePool(allocate, packetMaxBytes, limits.bulkBuffersMax - limits.bulkMutationsMax);
    const smallPool = new SmallBytePool(limits.smallBuffersBytesMax);
    const readPool = new BytePool(allocate, readBufferBytes, limits.readBuffersMax);
    const leases = new Leases({
      env,
      self,
      store,
      writer,
      fences,
      inventory,
      limits,
      links,
      session,
      changed,
      // The master answers once the session of the failed one has lapsed: that may take as long as a session. Asked again it answers the same.
      exclude: async (request) => {
        const within = { deadlineMs: limits.excludeTimeoutMs, attemptMs: limits.excludeAttemptMs, isHarmless: true };
        return (await this.#channel.call('exclude', request, within)).grant;
      },
    });
    const orders = new Orders({ env, limits, store, writer, fences, inventory, leases, links });
    this.#session = session;
    this.#bulkPools = [pool, pushPool];
    this.#smallPool = smallPool;
    this.#departures = departures;
    this.#leases = leases;
    this.#links = links;
    this.#staging = staging;
    this.#intake = intake;
    this.#pipeline = pipeline;
    this.#images = { store, writer, fences, inventory };
    this.#secondary = new Secondary({ env, limits, store, writer, fences, inventory, staging, leases });
    const activity = new Activity(env.clock);
    this.#apply = new ApplyHandler(this.#secondary, pushPool, smallPool, activity);
    const fresh = new FreshBytes(limits.stagedBytesMax);
    this.#push = new PushHandler({ pool: pushPool, fresh, intake, pipeline, staging });
    this.#mutations = new MutateHandler({ env, limits, session, leases, pool, smallPool, intake, pipeline, activity });
    const reading = { env, limits, store, session, inventory, leases, departures, activity };
    this.#reads = new ReadHandler({ ...reading, pool: readPool });
    const { directory } = options.store;
    const placePath = directory === '' ? 'scrubbed' : `${directory}/scrubbed`;
    this.#scrubber = new Scrubber({ env, limits, store, inventory, activity, placePath });
    const { clusterId, rack, pid, onRefused = () => {} } = options;
    const identity = { clusterId, server: self, incarnation: env.random.id53(), rack, pid };
    const drop = orders.dropAll.bind(orders);
    this.#growth = { env, store, session, inventory, leases, waits };
    this.#heartbeats = new Heartbeats({ env, store, session, inventory, fences, leases, identity, drop, onRefused });
    this.#channel = new LeaderChannel({
      env,
      masters: options.masters,
      calls: masterCalls,
      incoming: { calls: serverOrders, handlers: orders.handlers },
      deadlineMs: masterDeadlineMs,
      greet: (rpc) => this.#heartbeats.register(rpc, this.#advertised),
    });
  }

  /**
   * Opens the store, listens, and begins to register.
   * @throws CairnError PORT_IN_USE; DISK_CORRUPT, LOG_CORRUPT, WRONG_FORMAT when the store cannot be believed as a whole
   */
  static async start(options: ChunkserverOptions): Promise<Chunkserver> {
    const { env, limits = {} } = options;
    const inventory = new Inventory(limits.inventoryEveryMs ?? limitsDefault.inventoryEveryMs);
    const store = await openChunkStore(env, {
      ...options.store,
      windowEntriesPerWriter: windowPerWriterMax,
      windowWriters: limits.windowWritersMax ?? windowWritersMax,
      badBlocks: ({ handle, blocks }) => {
        env.events.emit('error', 'chunkserver.badBlocks', { handle, blocks: blocks === 'all' ? blocks : [...blocks] });
        inventory.markDamaged(handle);
      },
    });
    const server = new Chunkserver(options, store, inventory);
    try {
      await server.#scrubber.start();
      await server.#listen();
    } catch (thrown) {
      await server.#scrubber.stop();
      await store.close();
      throw thrown;
    }
    server.#heartbeats.start(server.#channel);
    const { server: id, rack } = options;
    options.env.events.emit('info', 'chunkserver.started', { server: id, address: server.address, rack });
    return server;
  }

  /** Where it listens. */
  get address(): Address {
    return this.#listener!.address;
  }

  get isServing(): boolean {
    return this.#session.isValid;
  }

  /** What is under way here, for operators and tests. */
  get load(): ServerLoad {
    return {
      mutationBytes: this.#mutations.bytes,
      stagedBytes: this.#staging.bytes,
      readBytes: this.#reads.bytes,
      bulkBuffers: this.#bulkPools.reduce((sum, { inUse }) => sum + inUse, 0),
      smallBuffers: this.#smallPool.inUse,
      leases: this.#leases.size,
      connections: this.#connections.size,
    };
  }

  /** What is under way is given up; what was acknowledged is on disk as it was promised. */
  async stop(): Promise<void> {
    this.#heartbeats.stop();
    this.#channel.close();
    await this.#listener?.close();
    this.#growth.waits.failAll(new CairnError('UNAVAILABLE', 'this server is stopping; ask another replica'));
    this.#leases.endAll(new CairnError('UNAVAILABLE', 'this server is stopping; ask another replica'));
    for (const connection of this.#connections) connection.close('the server is stopping');
    this.#links.close('the server is stopping');
    this.#pipeline.close('the server is stopping');
    this.#secondary.close();
    this.#staging.close();
    this.#intake.close();
    this.#departures.close();
    await Promise.all([this.#writer.close(), this.#reads.close(), this.#scrubber.stop()]);
    await this.#store.close();
  }

  get #advertised(): Address {
    return this.#options.advertise ?? this.address;
  }

  async #listen(): Promise<void> {
    const { env, address } = this.#options;
    const routes = routesOf(chunkCalls, {
      mutate: this.#mutations,
      read: this.#reads,
      lengths: (request) => this.#reads.lengths(request),
      awaitGrowth: (request) => awaitGrowth(this.#growth, request),
      push: this.#push,
      apply: this.#apply,
      image: (request) => showImage(this.#images, request),
      adopt: (request, _context, body) => adoptImage(this.#images, request, body),
      scrub: ({ now }) => {
        if (now) this.#scrubber.now();
        return { response: this.#scrubber.status };
      },
      describe: () => ({ response: this.#describe() }),
    });
    this.#listener = await env.network.listen(address, (connection) => this.#accept(connection, routes));
  }

  #accept(connection: Connection, routes: ReturnType<typeof routesOf>): RpcConnection<typeof chunkCalls> {
    const rpc: RpcConnection<typeof chunkCalls> = RpcConnection.accept(
      this.#options.env,
      connection,
      chunkCalls,
      routes,
      () => {
        this.#connections.delete(rpc);
        this.#reads.peerClosed(rpc);
        this.#mutations.peerClosed(rpc);
      },
    );
    this.#connections.add(rpc);
    return rpc;
  }

  #describe() {
    const { server, pid } = this.#options;
    const address = this.address;
    const port = Number(address.slice(address.lastIndexOf(':') + 1));
    const { chunkCount: chunks, usedBytes } = this.#store;
    return { server, pid, chunks, usedBytes, sessionLeftMs: this.#session.leftMs, port };
  }
}
