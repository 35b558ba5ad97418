/** Masters in the simulated world, with chunkservers that keep no bytes: only which chunks they hold, of what version and length. */
import { assert } from '../../core/base/assert.ts';
import {
  type Address,
  type ChunkHandle,
  type NodeId,
  type ServerId,
  toAddress,
  toChunkIndex,
  toNodeId,
  toServerId,
} from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import {
  defaultLimits,
  defaultTiming,
  type ElectorName,
  type EngineKind,
  type EngineName,
  MultiPaxos,
  Raft,
  toEpoch,
} from '../../core/consensus/index.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { type LengthReport, masterCalls, serverOrders } from '../../core/protocol/master-calls.ts';
import { type Attributes, type Grant, nothingAsked, protocolVersion } from '../../core/protocol/types.ts';
import type { EmittedEvent, SimNode } from '../../platform/sim/node.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import type { Handlers } from '../rpc/handlers.ts';
import { LeaderChannel } from '../rpc/leader-channel.ts';
import { openFileMap } from '../storage/file-map.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { openWriteAheadLog } from '../storage/wal/open-write-ahead-log.ts';
import { Master } from './master.ts';
import type { MasterTiming } from './options.ts';
import type { ChunkRecord } from './state/records.ts';

export const testChunkBytes = 1024 * 1024;

export interface TestMaster {
  readonly id: NodeId;
  readonly address: Address;
  readonly node: SimNode;
  master: Master | undefined;
  failure: CairnError | undefined;
}

interface HeldChunk {
  version: number;
  length: number;
  /** Of its last mutation under this version; 0 if not given. */
  serial?: number;
}

/** A chunkserver's view of itself, without the bytes. */
export class NamesServer {
  readonly id: ServerId;
  readonly address: Address;
  readonly rack: string;
  readonly node: SimNode;
  /** Its disk: survives restarts. */
  readonly chunks = new Map<ChunkHandle, HeldChunk>();
  /** To be told with the next heartbeat. */
  readonly damaged: ChunkHandle[] = [];
  /** Until it is dropped or made anew. */
  readonly #broken = new Set<ChunkHandle>();
  readonly reports: LengthReport[] = [];
  readonly dropped: ChunkHandle[] = [];
  readonly orders: string[] = [];
  readonly #cluster: TestMasters;
  #channel: LeaderChannel<typeof masterCalls, typeof serverOrders> | undefined;
  sessionUntil = 0;
  isConfirmed = false;
  /** Heartbeats are held back: it looks silent although it lives. */
  isMute = false;
  /** What it says that it uses is what its chunks take; else all say the same. */
  reportsUse = false;
  /** How long a clone takes. */
  cloneMs = 0;
  /** How long it takes until it has made the others equal to itself. */
  recoverMs = 0;
  /** What its disk says when a chunk is to be recovered. */
  recoverFails: ErrorCode | undefined;
  /** How long it takes until a split is answered. */
  splitMs = 0;
  /** How long it takes until what it says of a chunk, as it is when it is asked, is heard. */
  holdsMs = 0;
  /** So many splits are carried out and answered by a failure. */
  splitAnswersLost = 0;
  /** There is no room for the copy that a split makes. */
  isFull = false;
  /** It has no lease any more, as after a restart of its process. */
  hasLostLeases = false;
  /** Nobody can make its replicas equal to others, though it is heard of. */
  refusesRecovery = false;
  /** It cannot make copies, for whatever reason nobody else knows of. */
  refusesClones = false;
  #life = 0;

  constructor(cluster: TestMasters, id: number, rack: string) {
    this.#cluster = cluster;
    this.id = toServerId(id);
    this.rack = rack;
    this.address = toAddress(`s${id}:7000`);
    this.node = cluster.world.node(`s${id}`);
  }

  /** Reads are served: by its own clock its session holds, and everything it holds was compared since the session began. */
  get serves(): boolean {
    return this.node.isUp && this.isConfirmed && this.node.env.clock.now() < this.sessionUntil;
  }

  damage(handle: ChunkHandle): void {
    this.#broken.add(handle);
    this.damaged.push(handle);
  }

  boot(): void {
    const life = ++this.#life;
    this.sessionUntil = 0;
    this.isConfirmed = false;
    const { env } = this.node;
    const channel = new LeaderChannel<typeof masterCalls, typeof serverOrders>({
      env,
      masters: this.#cluster.masters.map(({ address }) => address),
      calls: masterCalls,
      incoming: { calls: serverOrders, handlers: this.#orders() },
      deadlineMs: 2000,
      greet: async (rpc) => {
        await rpc.call('register', {
          ...{ clusterId: 'test', server: this.id, incarnation: life, address: this.address, rack: this.rack },
          ...{ pid: 100 + life, protocolVersion },
        });
      },
    });
    this.#channel = channel;
    const beat = async () => {
      if (life !== this.#life || !this.node.isUp) return;
      if (!this.isMute) await this.#heartbeat(env, channel, life);
      env.clock.after(250, () => void beat());
    };
    void beat();
  }

  async #heartbeat(env: Env, channel: LeaderChannel<typeof masterCalls, typeof serverOrders>, life: number) {
    const sentAt = env.clock.now();
    const lengths = this.reports.splice(0);
    const damaged = this.damaged.splice(0);
    const inventory = [...this.chunks]
      .sort(([a], [b]) => a - b)
      .map(([handle, { version, length }]) => ({ handle, version: version as ChunkRecord['version'], length }));
    try {
      const { sessionMs, garbage, hasLengths } = await channel.call('heartbeat', {
        ...{
          server: this.id,
          incarnation: life,
          usedBytes: this.usedBytes,
          totalBytes: 1e9,
          freeBytes: 9e8,
          lagBytes: 0,
        },
        ...{ chunks: inventory.length, lengths, inventory, damaged },
        ...{ inventoryFrom: 0, inventoryTo: Number.MAX_SAFE_INTEGER },
      });
      for (const { handle } of garbage) this.#drop(handle);
      if (!hasLengths) this.reports.unshift(...lengths);
      this.isConfirmed = env.clock.now() < this.sessionUntil; // else this page was sent before the session began
      if (sessionMs > 0) this.sessionUntil = Math.max(this.sessionUntil, sentAt + sessionMs);
    } catch (thrown) {
      assert(thrown instanceof CairnError, 'a heartbeat fails with a code', { thrown: String(thrown) });
      this.reports.unshift(...lengths);
      this.damaged.unshift(...damaged);
    }
  }

  get usedBytes(): number {
    if (!this.reportsUse) return 1000;
    return [...this.chunks.values()].reduce((sum, { length }) => sum + length, 0);
  }

  #drop(handle: ChunkHandle): void {
    this.#broken.delete(handle);
    if (this.chunks.delete(handle)) this.dropped.push(handle);
  }

  /** As a primary does: the master is asked for a grant without the members that have failed. */
  async #withoutRefusing(grant: Grant): Promise<Grant> {
    const { handle, version, replicas } = grant;
    const failed = replicas.map(({ server }) => server).filter((id) => this.#cluster.server(id).refusesRecovery);
    if (failed.length === 0) return grant;
    const asked = { server: this.id, handle, version, failed };
    return (await this.#channel!.call('exclude', asked, { deadlineMs: 5000, attemptMs: 2500 })).grant;
  }

  #orders(): Handlers<typeof serverOrders> {
    return {
      clone: async ({ handle, from }) => {
        this.orders.push(`clone ${handle} from ${from.server}`);
        if (this.refusesClones) throw new CairnError('DISK_FAILED', 'it cannot write');
        const source = this.#cluster.server(from.server);
        const chunk = source.node.isUp ? source.chunks.get(handle) : undefined;
        if (chunk === undefined) throw new CairnError('CHUNK_MISSING', `chunk ${handle} is not there`);
        this.chunks.set(handle, { version: 1, length: 0 }); // a part of it
        if (this.cloneMs > 0) await new Promise<void>((resolve) => this.node.env.clock.after(this.cloneMs, resolve));
        this.chunks.set(handle, { ...chunk });
        this.#broken.delete(handle);
        return { response: { length: chunk.length } };
      },
      release: ({ handle, version }) => {
        this.orders.push(`release ${handle} v${version}`);
        const chunk = this.chunks.get(handle);
        if (chunk === undefined || chunk.version !== version || this.hasLostLeases)
          throw new CairnError('NOT_PRIMARY', 'no such lease');
        return { response: { length: chunk.length } };
      },
      recover: async ({ grant }) => {
        this.orders.push(`recover ${grant.handle} v${grant.version}`);
        if (this.recoverFails !== undefined) throw new CairnError(this.recoverFails, 'so it is told to');
        if (this.recoverMs > 0)
          await new Promise<void>((resolve) => this.node.env.clock.after(this.recoverMs, resolve));
        const length = this.chunks.get(grant.handle)?.length ?? 0;
        const { version, replicas } = await this.#withoutRefusing(grant);
        for (const { server } of replicas) this.#cluster.server(server).chunks.set(grant.handle, { version, length });
        return { response: { length } };
      },
      split: async ({ handle, version, into, length }) => {
        this.orders.push(`split ${handle} v${version}`);
        const chunk = this.chunks.get(handle);
        if (chunk === undefined) throw new CairnError('CHUNK_MISSING', `chunk ${handle} is not there`);
        if (chunk.length < length) return { response: { length: chunk.length } };
        if (this.isFull) throw new CairnError('DISK_FULL', 'there is no room');
        this.chunks.set(into, { version, length: chunk.length });
        chunk.version = version + 1;
        if (this.splitMs > 0) await new Promise<void>((resolve) => this.node.env.clock.after(this.splitMs, resolve));
        if (this.splitAnswersLost-- > 0) throw new CairnError('UNAVAILABLE', 'the answer is lost');
        return { response: { length: chunk.length } };
      },
      holds: async ({ handle }) => {
        const chunk = this.chunks.get(handle);
        const isSound = (chunk !== undefined || !this.dropped.includes(handle)) && !this.#broken.has(handle);
        const version = chunk?.version as ChunkRecord['version'];
        const response = { version, length: chunk?.length ?? 0, isSound, serial: chunk?.serial ?? 0 };
        if (this.holdsMs > 0) await new Promise<void>((resolve) => this.node.env.clock.after(this.holdsMs, resolve));
        return { response };
      },
      drop: ({ handles }) => {
        for (const { handle, version } of handles) {
          const held = this.chunks.get(handle);
          if (held !== undefined && held.version > version)
            throw new CairnError('STALE_VERSION', `chunk ${handle} has version ${held.version} here`);
          this.#drop(handle);
        }
        return { response: {} };
      },
    };
  }
}

export interface TestOptions {
  readonly masters?: number;
  readonly servers?: number;
  readonly racks?: readonly string[];
  readonly timing?: Partial<MasterTiming>;
  readonly engine?: EngineName;
  readonly elector?: ElectorName;
}

export class TestMasters {
  readonly world: SimWorld;
  readonly masters: TestMaster[];
  /** Those in everybody's configuration. */
  readonly configured: TestMaster[];
  readonly servers: NamesServer[];
  readonly events: EmittedEvent[] = [];
  readonly #timing: Partial<MasterTiming>;
  readonly #engine: EngineName;
  readonly #elector: ElectorName;
  #client: LeaderChannel<typeof masterCalls, never> | undefined;
  #sequence = 0;

  constructor(seed: number, options: TestOptions = {}) {
    this.world = testWorld(seed, { onEvent: (event) => this.events.push(event) });
    this.#timing = options.timing ?? {};
    this.#engine = options.engine ?? 'raft';
    this.#elector = options.elector ?? 'timeout';
    this.masters = [];
    this.configured = Array.from({ length: options.masters ?? 3 }, (_, i) => this.addMaster(i + 1));
    this.servers = Array.from(
      { length: options.servers ?? 3 },
      (_, i) => new NamesServer(this, i + 1, options.racks?.[i] ?? 'default'),
    );
  }

  /** Up when a leader has a heartbeat of every server. */
  static async start(seed: number, options: TestOptions = {}): Promise<TestMasters> {
    const cluster = new TestMasters(seed, options);
    for (const master of cluster.masters) cluster.boot(master);
    for (const server of cluster.servers) server.boot();
    await cluster.until('all servers are healthy', () => cluster.servers.every((server) => server.serves));
    return cluster;
  }

  /** A machine on which a master may run; nobody knows of it yet. */
  addMaster(id: number, host = `m${id}`): TestMaster {
    const made = {
      id: toNodeId(id),
      address: toAddress(`${host}:7000`),
      node: this.world.node(host),
      master: undefined,
      failure: undefined,
    };
    this.masters.push(made);
    return made;
  }
  /** Power off, and a disk with nothing on it. */
  wipe(member: TestMaster): void {
    this.crash(member);
    const { disk } = member.node;
    for (const path of disk.paths()) disk.remove(path);
  }

  /** The disk of another machine as it was when its process ended, or is now. */
  async copyDisk(from: TestMaster, to: TestMaster): Promise<void> {
    const { disk } = to.node.env;
    for (const path of from.node.disk.paths()) {
      const directory = path.split('/').slice(0, -1).join('/');
      if (directory !== '') await this.world.settle(disk.makeDirectory(directory));
      to.node.disk.createFile(path).write(0, from.node.disk.read(path));
    }
  }

  boot(member: TestMaster, clusterId = 'test'): void {
    const { env } = member.node;
    this.#open(member, env, clusterId).catch((thrown: unknown) => {
      if (member.node.isUp && member.node.env === env) member.failure = toCairnError(thrown);
    });
  }

  async #open(member: TestMaster, env: Env, clusterId: string): Promise<void> {
    // Each knows its own address; of the others what everybody was told.
    const masters = this.configured.map(({ id, address }) => ({
      id,
      address: id === member.id ? member.address : address,
    }));
    const master = await Master.start({
      env,
      id: member.id,
      address: member.address,
      clusterId,
      pid: member.id,
      masters,
      replica: {
        // biome-ignore lint/suspicious/noExplicitAny: nobody here looks into messages and records
        kind: (this.#engine === 'raft' ? Raft : MultiPaxos) as EngineKind<any, any>,
        config: {
          epoch: toEpoch(1),
          seed: env.random.id53(),
          crc32: env.crc32,
          elector: this.#elector,
          timing: defaultTiming,
          limits: defaultLimits,
        },
        directory: 'log',
        openLog: openWriteAheadLog,
        storeDirectory: 'state',
        openStore: async () => new OverlayStore(await openFileMap(env, 'state')),
      },
      defaults: { replication: 3, durability: 'memory', chunkBytes: testChunkBytes, mode: 'strong', minReplicas: 1 },
      timing: this.#timing,
      onFailure: (error) => {
        member.failure = error;
      },
    });
    if (member.node.isUp && member.node.env === env) member.master = master;
  }

  crash(member: TestMaster): void {
    member.master = undefined;
    member.node.crash();
  }
  restart(member: TestMaster): void {
    member.node.restart();
    this.boot(member);
  }
  crashServer(server: NamesServer): void {
    server.node.crash();
  }
  restartServer(server: NamesServer): void {
    server.node.restart();
    server.boot();
  }

  get leader(): TestMaster | undefined {
    return this.masters.find(({ master, node }) => node.isUp && master?.isLeading === true);
  }
  server(id: number): NamesServer {
    return this.servers.find((server) => server.id === id)!;
  }

  async until(what: string, holds: () => boolean, limitMs = 20_000): Promise<void> {
    if (!(await this.world.runUntil(holds, limitMs))) throw new Error(`it did not come to this: ${what}`);
  }
  run(ms: number): Promise<void> {
    return this.world.run(ms);
  }

  /** A client's call, through whoever leads. */
  call<K extends keyof typeof masterCalls & string>(
    kind: K,
    request: RequestOf<(typeof masterCalls)[K]>,
  ): Promise<ResponseOf<(typeof masterCalls)[K]>> {
    return this.world.settle(this.ask(kind, request));
  }
  /** The same, under way. */
  ask<K extends keyof typeof masterCalls & string>(
    kind: K,
    request: RequestOf<(typeof masterCalls)[K]>,
  ): Promise<ResponseOf<(typeof masterCalls)[K]>> {
    const { env } = this.world.node('client');
    const masters = this.masters.map(({ address }) => address);
    this.#client ??= new LeaderChannel<typeof masterCalls, never>({
      env,
      masters,
      calls: masterCalls,
      deadlineMs: 10_000,
      greet: async (rpc) => (await rpc.call('whoLeads', {}, { timeoutMs: 700 })).response.masters,
    });
    return this.#client.call(kind, request);
  }

  id() {
    this.#sequence += 1;
    return { client: 77, sequence: this.#sequence, ackBelow: this.#sequence };
  }
  readonly nothingAsked = nothingAsked;
  create(path: string, options: Partial<RequestOf<typeof masterCalls.openForWrite>> = {}) {
    return this.call('openForWrite', this.openRequest(path, options));
  }
  openRequest(path: string, options: Partial<RequestOf<typeof masterCalls.openForWrite>> = {}) {
    return {
      ...({
        id: this.id(),
        path,
        create: 'ifMissing',
        truncate: false,
        allocate: true,
        parents: true,
        isSmall: false,
      } as const),
      ...nothingAsked,
      ...options,
    };
  }
  acquire(inode: Attributes['inode'], index: number, after?: RequestOf<typeof masterCalls.acquire>['after']) {
    return this.call('acquire', this.acquireRequest(inode, index, after));
  }
  acquireRequest(inode: Attributes['inode'], index: number, after?: RequestOf<typeof masterCalls.acquire>['after']) {
    const chunk = { inode, index: toChunkIndex(index), chunkBytes: testChunkBytes };
    return { id: this.id(), ...chunk, after, ifMissing: { kind: 'make' } } as const;
  }

  truncateRequest(inode: Attributes['inode'], chunkCount: number) {
    return { id: this.id(), inode, chunkCount, chunkBytes: testChunkBytes };
  }

  /** A client's mutation: true if every member of the grant took it. */
  write(grant: Grant, length: number): boolean {
    const members = grant.replicas.map(({ server }) => this.server(server));
    const takes = (server: NamesServer) =>
      server.serves && (server.chunks.get(grant.handle)?.version ?? 0) <= grant.version;
    if (!members.every(takes)) return false;
    for (const server of members) server.chunks.set(grant.handle, { version: grant.version, length });
    return true;
  }
  /** The primary gives the lease up. */
  release(grant: Grant, length: number): void {
    this.report(grant, length, true);
  }
  /** The primary tells how long the chunk is. */
  report({ handle, version, replicas }: Grant, length: number, release: boolean): void {
    this.server(replicas[0]!.server).reports.push({ handle, version, length, release });
  }
  /** A file with one sealed chunk of `length` bytes on every replica. */
  sealedFile(path: string, length: number, options: Partial<RequestOf<typeof masterCalls.openForWrite>> = {}) {
    return this.fileOf(path, length, true, options);
  }
  /** The same, or with an open one, of which the length is known. */
  async fileOf(
    path: string,
    length: number,
    sealed: boolean,
    options: Partial<RequestOf<typeof masterCalls.openForWrite>> = {},
  ) {
    const { attributes, grant } = await this.create(path, options);
    assert(grant !== undefined, 'the first chunk came with the file');
    assert(this.write(grant, length), 'all replicas took the bytes');
    this.report(grant, length, sealed);
    const isKnown = () => this.chunk(grant.handle)?.length === length && this.chunk(grant.handle)?.sealed === sealed;
    await this.until(`what ${path} has is known`, isKnown);
    return { inode: attributes.inode, grant };
  }

  /** The record at the leader. */
  chunk(handle: ChunkHandle): ChunkRecord | undefined {
    return this.leader?.master?.machine.tables.chunk(handle);
  }
  eventsNamed(name: string) {
    return this.events.filter((event) => event.name === name);
  }
}

export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'ok';
  } catch (thrown) {
    return thrown instanceof CairnError ? thrown.code : `thrown: ${String(thrown)}`;
  }
}
