/** Chunkservers in a simulated world, with a master that is a script and a client that speaks the calls. */
import {
  type Address,
  type ChunkHandle,
  type ChunkVersion,
  type ServerId,
  toAddress,
  toChunkHandle,
  toChunkVersion,
  toServerId,
} from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { masterCalls, serverOrders } from '../../core/protocol/master-calls.ts';
import type { Durability, Grant, Replica } from '../../core/protocol/types.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { SimWorld, SimWorldOptions } from '../../platform/sim/world.ts';
import { routesOf } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { Chunkserver } from './chunkserver.ts';
import type { Limits } from './limits.ts';

export const chunkBytes = 1024 * 1024;
const masterAddress = toAddress('m:1');
const sessionMs = 1000;
const heartbeatMs = 250;

/** Bytes that differ from place to place and from seed to seed. */
export function pattern(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let x = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < lengthBytes; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

type Heartbeat = RequestOf<(typeof masterCalls)['heartbeat']>;

interface Known {
  address: Address;
  lastHeardAt: number;
  rpc: RpcConnection<typeof serverOrders> | undefined;
}

/** Knows grants and sessions, and does as it is told otherwise. */
export class ScriptedMaster {
  readonly heartbeats: Heartbeat[] = [];
  readonly exclusions: RequestOf<(typeof masterCalls)['exclude']>[] = [];
  readonly servers = new Map<ServerId, Known>();
  readonly grants = new Map<number, Grant>();
  /** Told to a server with its next heartbeat. */
  readonly garbage = new Map<number, ResponseOf<(typeof masterCalls)['heartbeat']>['garbage']>();
  /** What a call does before its answer. */
  onRegister: () => void = () => {};
  onHeartbeat: (heartbeat: Heartbeat) => void | Promise<void> = () => {};
  onExclude: () => void = () => {};
  /** What it tells servers of handles. */
  nextHandle = 0;
  isExcludingDamaged = false;
  /** It answers heartbeats, and takes no lengths. */
  logsNothing = false;
  session = { leader: 1, number: 1 };
  /** As while a change that leaves the server out is on its way into the log. */
  refusesSessions = false;
  /** The longest that was reported. */
  readonly #lengths = new Map<number, number>();
  readonly #node: SimNode;

  constructor(node: SimNode) {
    this.#node = node;
  }

  async start(): Promise<void> {
    const { env } = this.#node;
    const routes = routesOf(masterCalls, {
      register: (request, context) => {
        this.onRegister();
        const rpc = context.peer as unknown as RpcConnection<typeof serverOrders>;
        this.servers.set(request.server, { address: request.address, lastHeardAt: env.clock.now(), rpc });
        return { response: { sessionMs, heartbeatMs } };
      },
      heartbeat: async (request) => {
        this.heartbeats.push(request);
        await this.onHeartbeat(request);
        for (const handle of request.damaged) this.#withoutDamaged(handle, request.server);
        if (!this.logsNothing) for (const { handle, length } of request.lengths) this.#noteLength(handle, length);
        const known = this.servers.get(request.server);
        if (known !== undefined) known.lastHeardAt = env.clock.now();
        const garbage = this.garbage.get(request.server) ?? [];
        this.garbage.delete(request.server);
        return {
          response: {
            sessionMs: this.refusesSessions ? 0 : sessionMs,
            garbage,
            nextHandle: this.nextHandle,
            hasLengths: !this.logsNothing,
            session: this.session,
          },
        };
      },
      exclude: async (request) => {
        this.exclusions.push(request);
        this.onExclude();
        const before = this.grants.get(request.handle);
        if (before === undefined) throw new CairnError('STALE_HANDLE', 'there is no such chunk any more');
        for (const server of request.failed) await this.#out(server, before);
        const old = this.grants.get(request.handle)!;
        if (old.replicas[0]!.server !== request.server) throw new CairnError('NOT_PRIMARY', 'another is');
        if (old !== before) throw new CairnError('STALE_VERSION', 'another version was granted meanwhile');
        const replicas = old.replicas.filter(({ server }) => !request.failed.includes(server));
        const isNew = old.version === request.version || replicas.length < old.replicas.length;
        return { response: { grant: isNew ? this.#grant(old, replicas) : old } };
      },
    });
    await env.network.listen(masterAddress, (connection) =>
      RpcConnection.accept(env, connection, serverOrders, routes),
    );
  }

  /** The next version of a chunk; the first server is the primary. */
  grant(handle: number, servers: readonly number[], durability: Durability = 'memory'): Grant {
    const replicas = servers.map((id) => this.replica(id));
    const handleOf = toChunkHandle(handle);
    const first = { handle: handleOf, version: toChunkVersion(0), replicas, durability };
    return this.#grant(
      this.grants.get(handle) ?? { ...first, mode: 'strong', minReplicas: 1, knownLength: 0 },
      replicas,
    );
  }

  /** It may be serving, as far as the master knows. */
  hasSession(id: number): boolean {
    const known = this.servers.get(toServerId(id));
    return known !== undefined && this.#node.env.clock.now() < known.lastHeardAt + sessionMs * 1.02;
  }

  replica(id: number): Replica {
    return { server: toServerId(id), address: serverAddress(id) };
  }

  /** Gives an order to a server over the connection that it opened. */
  async order<K extends keyof typeof serverOrders & string>(
    server: number,
    kind: K,
    request: RequestOf<(typeof serverOrders)[K]>,
  ): Promise<ResponseOf<(typeof serverOrders)[K]>> {
    const answer = await this.servers.get(toServerId(server))!.rpc!.call(kind, request);
    return answer.response;
  }

  #grant(old: Grant, replicas: readonly Replica[]): Grant {
    const knownLength = Math.max(old.knownLength, this.#lengths.get(old.handle) ?? 0);
    const grant = { ...old, version: toChunkVersion(old.version + 1), replicas, knownLength };
    this.grants.set(old.handle, grant);
    return grant;
  }

  /** A replica that is damaged by its server's own word leaves the set, unless it is the last one. */
  #withoutDamaged(handle: number, server: ServerId): void {
    const old = this.grants.get(handle);
    const others = old?.replicas.filter((replica) => replica.server !== server) ?? [];
    if (this.isExcludingDamaged && old !== undefined && others.length > 0 && others.length < old.replicas.length) {
      this.#grant(old, others);
    }
  }

  #noteLength(handle: ChunkHandle, length: number): void {
    this.#lengths.set(handle, Math.max(this.#lengths.get(handle) ?? 0, length));
  }

  /** A server has a sound replica, as far as anybody knows the length. False if it does not say so. */
  async holds(server: number, handle: number): Promise<boolean> {
    const known = this.grants.get(handle)!;
    const request = { handle: toChunkHandle(handle) };
    const answer = await this.order(server, 'holds', request).catch(() => undefined); // then it is not certain
    const lengthBytes = Math.max(known.knownLength, this.#lengths.get(handle) ?? 0);
    return answer?.isSound === true && (answer.version === known.version || answer.length >= lengthBytes);
  }

  /** Waits until the server serves the chunk no longer: it has dropped it, or has no session; or until another version is granted. */
  async #out(server: ServerId, granted: Grant): Promise<void> {
    const { clock } = this.#node.env;
    const { handle, version } = granted;
    while (this.hasSession(server) && this.grants.get(handle) === granted) {
      const rpc = this.servers.get(server)?.rpc;
      const held = { handle, version, length: 0 };
      const dropped = rpc?.call('drop', { handles: [held] }, { timeoutMs: 500 }).then(
        () => true,
        () => false,
      );
      if ((await dropped) === true) return;
      await new Promise<void>((resolve) => clock.after(50, resolve));
    }
  }
}

export function serverAddress(id: number): Address {
  return toAddress(`s${id}:1`);
}

export interface Appended {
  readonly offsets: readonly number[];
  readonly lengthBytes: number;
}

export class TestClient {
  readonly world: SimWorld;
  readonly node: SimNode;
  readonly #connections = new Map<Address, RpcConnection<typeof chunkCalls>>();

  constructor(world: SimWorld, name: string) {
    this.world = world;
    this.node = world.node(name);
  }

  to(address: Address): RpcConnection<typeof chunkCalls> {
    let rpc = this.#connections.get(address);
    if (rpc === undefined || rpc.isClosed) {
      rpc = RpcConnection.connect(this.node.env, address, chunkCalls, undefined);
      this.#connections.set(address, rpc);
    }
    return rpc;
  }

  async write(grant: Grant, offset: number, bytes: Uint8Array, crc?: number): Promise<Appended> {
    return this.#mutate(grant, { kind: 'write', offset }, bytes, crc);
  }

  /** @param since the version under which it was sent before */
  async append(
    grant: Grant,
    writer: number,
    firstSequence: number,
    records: readonly Uint8Array[],
    since?: ChunkVersion,
    crc?: number,
  ): Promise<Appended> {
    const lengths = records.map((record) => record.length);
    return this.#mutate(grant, { kind: 'append', writer, since, firstSequence, lengths }, joined(records), crc);
  }

  async #mutate(
    grant: Grant,
    kind: RequestOf<(typeof chunkCalls)['mutate']>['kind'],
    body: Uint8Array,
    crc = this.node.env.crc32(body),
  ): Promise<Appended> {
    const request = { grant, kind, crc, chunkBytes };
    const rpc = this.to(grant.replicas[0]!.address);
    return (await rpc.call('mutate', request, { body: [body], timeoutMs: 20_000 })).response;
  }

  async read(server: number, handle: number, offset: number, length: number): Promise<Uint8Array> {
    const rpc = this.to(serverAddress(server));
    const { response, body } = await rpc.call('read', { handle: toChunkHandle(handle), offset, length });
    if (this.node.env.crc32(body) !== response.crc) throw new Error('the body is not what its checksum says');
    return body;
  }

  async length(server: number, handle: number): Promise<number | undefined> {
    const { response } = await this.to(serverAddress(server)).call('lengths', { handles: [toChunkHandle(handle)] });
    return response.lengths[0]?.bytes;
  }
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export class TestCluster {
  readonly world: SimWorld;
  readonly master: ScriptedMaster;
  readonly client: TestClient;
  readonly servers = new Map<number, Chunkserver>();
  readonly refusals: CairnError[] = [];
  readonly diskFailures: { readonly id: number; readonly error: CairnError }[] = [];
  readonly #limits: Partial<Limits>;

  constructor(seed: number | string, limits: Partial<Limits> = {}, options: Partial<SimWorldOptions> = {}) {
    this.world = testWorld(seed, options);
    this.master = new ScriptedMaster(this.world.node('m'));
    this.client = new TestClient(this.world, 'client');
    this.#limits = limits;
  }

  /** A master and so many servers, all with a valid session. */
  static async start(
    seed: number | string,
    count = 3,
    limits: Partial<Limits> = {},
    options: Partial<SimWorldOptions> = {},
  ): Promise<TestCluster> {
    const cluster = new TestCluster(seed, limits, options);
    await cluster.world.settle(cluster.master.start());
    for (let id = 1; id <= count; id++) await cluster.startServer(id);
    await cluster.serving();
    return cluster;
  }

  async startServer(id: number): Promise<Chunkserver> {
    const node = this.world.node(`s${id}`);
    const server = await this.world.settle(this.#start(id, node));
    this.servers.set(id, server);
    return server;
  }

  async #start(id: number, node: SimNode): Promise<Chunkserver> {
    const { env } = node;
    return Chunkserver.start({
      env,
      server: toServerId(id),
      clusterId: 'test',
      address: serverAddress(id),
      masters: [masterAddress],
      rack: 'r1',
      pid: id,
      store: { directory: 'chunks', reserveBytes: 1024 * 1024, journalSegmentBytes: 512 * 1024 },
      limits: this.#limits,
      onRefused: (error) => this.refusals.push(error),
      onDiskFailed: (error) => this.diskFailures.push({ id, error }),
    });
  }

  /** The process is killed; its disk stays, with `power` lost only what was synced. */
  kill(id: number, power = false): void {
    this.world.node(`s${id}`).crash({ loseUnsynced: power });
    this.servers.delete(id);
  }

  async restart(id: number): Promise<void> {
    this.world.node(`s${id}`).restart();
    await this.startServer(id);
    await this.serving();
  }

  async serving(): Promise<void> {
    const all = () => [...this.servers.values()].every((server) => server.isServing);
    if (!(await this.world.runUntil(all, 10_000))) throw new Error('a server has no session');
  }

  /** The bytes of a chunk as a server serves them. */
  async content(server: number, handle: number): Promise<Uint8Array> {
    // A connection to a process that is gone is noticed when it is used.
    await this.world.settle(codeOf(this.client.length(server, handle)));
    const length = await this.world.settle(this.client.length(server, handle));
    if (length === undefined) throw new Error(`server ${server} does not hold chunk ${handle}`);
    return this.world.settle(this.client.read(server, handle, 0, Math.max(1, length)));
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.world.settle(promise, 60_000);
  }
}

/** Makes the chunk so long, under the grant; `more` of the kind may be another than that of a first try. */
export async function resize(cluster: TestCluster, grant: Grant, sequence: number, lengthBytes: number, more = {}) {
  const rpc = cluster.client.to(grant.replicas[0]!.address);
  const kind = { kind: 'resize' as const, writer: 77, since: undefined, sequence, lengthBytes, ...more };
  return (await rpc.call('mutate', { grant, kind, crc: 0, chunkBytes }, { timeoutMs: 20_000 })).response;
}

/** For large arrays, which a matcher takes seconds to compare. */
export function difference(actual: Uint8Array, expected: Uint8Array): string {
  if (actual.length !== expected.length) return `${actual.length} bytes instead of ${expected.length}`;
  for (let i = 0; i < actual.length; i++) if (actual[i] !== expected[i]) return `byte ${i} differs`;
  return 'none';
}

/** What a promise is refused with: the code. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    return (thrown as CairnError).code;
  }
  return 'OK';
}
