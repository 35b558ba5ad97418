/**
 * A cluster as far as clients see one: a master and chunkservers in the simulated world that keep their promises in the simplest way,
 * with places where a test may interfere. What they hold is plain to see.
 */
import {
  type Address,
  type ChunkVersion,
  toAddress,
  toChunkHandle,
  toChunkIndex,
  toChunkVersion,
  toInodeId,
  toMutationSerial,
  toNodeId,
  toServerId,
} from '../../core/base/brand.ts';
import { concatBytes } from '../../core/base/bytes.ts';
import type { Env, Listener } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { masterCalls } from '../../core/protocol/master-calls.ts';
import { parsePath } from '../../core/protocol/paths.ts';
import {
  type Attributes,
  type CommandId,
  type Grant,
  type Location,
  protocolVersion,
} from '../../core/protocol/types.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { SimWorld, SimWorldOptions } from '../../platform/sim/world.ts';
import { type Handlers, type Peer, routesOf } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { Waits } from '../rpc/waits.ts';
import { CairnClient } from './client.ts';
import type { GivenSettings } from './limits.ts';

type MutateRequest = RequestOf<typeof chunkCalls.mutate>;
type ReadRequest = RequestOf<typeof chunkCalls.read>;

interface FakeChunk {
  version: number;
  bytes: Uint8Array;
  /** Offsets by writer and sequence. */
  readonly window: Map<string, number>;
}

/** Throw a CairnError to refuse; return `lose` to have the answer lost with the connection, after the work was done. */
export type Interference<Request> = (
  request: Request,
  count: number,
) => 'lose' | undefined | Promise<'lose' | undefined>;

/** Where a process of it runs. */
export interface FakeHost {
  readonly env: Env;
  readonly isUp: boolean;
}

export class FakeServer {
  readonly id: number;
  address: Address;
  readonly chunks = new Map<number, FakeChunk>();
  readonly mutations: MutateRequest[] = [];
  readonly reads: ReadRequest[] = [];
  lengthCalls = 0;
  /** False: it knows nothing of those it had before. */
  hasLeases = true;
  growthCalls = 0;
  /** Mutations being carried out, and the most there ever were. */
  inMutate = 0;
  inMutateMax = 0;
  /** How long a mutation takes, in virtual ms. */
  mutateMs = 0;
  beforeMutate: Interference<MutateRequest> = () => undefined;
  afterMutate: Interference<MutateRequest> = () => undefined;
  beforeRead: Interference<ReadRequest> = () => undefined;
  beforeImage: () => void = () => undefined;
  beforeLengths: () => void = () => undefined;
  beforeGrowth: () => Promise<void> = () => Promise.resolve();
  /** Changes the body of an answer to a read, after its checksum was made. */
  spoil: ((request: ReadRequest, body: Uint8Array) => void) | undefined;
  readonly #cluster: FakeCluster;
  #slept: Promise<unknown> = Promise.resolve();
  readonly #growth: Waits<number, { version: ChunkVersion; length: number; isOpen: boolean }>;
  readonly host: FakeHost;

  constructor(cluster: FakeCluster, id: number, host: FakeHost, address: Address) {
    this.#cluster = cluster;
    this.#growth = new Waits(host.env, 100);
    this.id = id;
    this.address = address;
    this.host = host;
  }

  /** In the simulated world only. */
  get node(): SimNode {
    return this.host as SimNode;
  }

  #hasLease(handle: number): boolean {
    return this.hasLeases && this.mutations.some(({ grant }) => grant.handle === handle);
  }

  async start(): Promise<Listener> {
    const { env } = this.host;
    const handlers: Handlers<typeof chunkCalls> = {
      mutate: (request, { peer }, body) => this.#mutate(request, peer, body),
      read: (request, { peer }) => this.#read(request, peer),
      lengths: ({ handles }) => {
        if (handles.length > 0) this.lengthCalls += 1;
        this.beforeLengths();
        return {
          response: {
            lengths: handles.map((handle) => {
              const chunk = this.chunks.get(handle);
              return chunk && { bytes: chunk.bytes.length, hasLease: this.#hasLease(handle) };
            }),
          },
        };
      },
      image: ({ handle }) => {
        this.beforeImage();
        const chunk = this.chunks.get(handle);
        if (chunk === undefined) throw new CairnError('CHUNK_MISSING', 'there is no such chunk here');
        const { version, bytes } = chunk;
        const state = { version: toChunkVersion(version), serial: toMutationSerial(1), lengthBytes: bytes.length };
        return { response: { ...state, blockChecksums: [this.host.env.crc32(bytes)], window: [] } };
      },
      awaitGrowth: async ({ handle, known, waitMs }) => {
        this.growthCalls += 1;
        await this.beforeGrowth();
        const look = (isOver: boolean) => {
          const chunk = this.chunks.get(handle);
          if (chunk === undefined) throw new CairnError('CHUNK_MISSING', 'there is no such chunk here');
          const present = {
            version: toChunkVersion(chunk.version),
            length: chunk.bytes.length,
            isOpen: this.#hasLease(handle),
          };
          const isOther = present.length !== known?.length || present.version !== known.version;
          return isOver || isOther ? present : undefined;
        };
        return { response: await this.#growth.wait(handle, waitMs, look) };
      },
    };
    const routes = routesOf(chunkCalls, handlers);
    const listener = await env.network.listen(this.address, (connection) =>
      RpcConnection.accept(env, connection, {}, routes),
    );
    this.address = listener.address;
    return listener;
  }

  async #mutate(request: MutateRequest, peer: Peer, body: Uint8Array) {
    this.mutations.push(request);
    this.#cluster.mutations.push(request);
    const count = this.mutations.length;
    this.inMutate += 1;
    this.inMutateMax = Math.max(this.inMutateMax, this.inMutate);
    try {
      if (this.mutateMs > 0) await this.#sleepInOrder(this.mutateMs);
      await this.beforeMutate(request, count);
      const offsets = this.#apply(request, body.slice());
      const lengthBytes = this.chunks.get(request.grant.handle)!.bytes.length;
      if ((await this.afterMutate(request, count)) === 'lose') peer.close('the answer is lost');
      return { response: { offsets, lengthBytes } };
    } finally {
      this.inMutate -= 1;
    }
  }

  /** Mutations go on in the order of their arrival, as on a chunkserver. The machine's timers may change places within a millisecond. */
  #sleepInOrder(ms: number): Promise<unknown> {
    const sleep = new Promise<void>((resolve) => this.host.env.clock.after(ms, resolve));
    this.#slept = Promise.all([this.#slept, sleep]);
    return this.#slept;
  }

  #apply({ grant, kind, crc, chunkBytes }: MutateRequest, body: Uint8Array): number[] {
    if (this.host.env.crc32(body) !== crc)
      throw new CairnError('CHECKSUM_MISMATCH', 'the bytes are not those announced');
    if (grant.replicas[0]!.server !== this.id) throw new CairnError('NOT_PRIMARY', 'another server is the primary');
    const members = grant.replicas.map(({ server }) => this.#cluster.server(server));
    if (members.some((member) => (member.chunks.get(grant.handle)?.version ?? 0) > grant.version))
      throw new CairnError('STALE_VERSION', 'a member knows a later version');
    const own = this.#own(grant);
    const down = members.filter((member) => !member.host.isUp);
    if (down.length > 0)
      throw new CairnError('REPLICA_FAILED', 'a member is down', { hint: down.map(({ id }) => id).join(',') });
    const offsets: number[] = [];
    let { bytes } = own;
    if (kind.kind === 'write') {
      bytes = withBytesAt(bytes, kind.offset, body);
    } else if (kind.kind === 'resize') {
      const key = `${kind.writer}:${kind.sequence}`;
      if (!own.window.has(key))
        bytes = withBytesAt(bytes.subarray(0, kind.lengthBytes), kind.lengthBytes, new Uint8Array(0));
      own.window.set(key, kind.lengthBytes);
    } else {
      let at = 0;
      for (const [n, length] of kind.lengths.entries()) {
        const key = `${kind.writer}:${kind.firstSequence + n}`;
        const known = own.window.get(key);
        if (known === undefined && bytes.length + length > chunkBytes) {
          bytes = withBytesAt(bytes, chunkBytes, new Uint8Array(0));
          break;
        }
        offsets.push(known ?? bytes.length);
        if (known === undefined) {
          own.window.set(key, bytes.length);
          bytes = withBytesAt(bytes, bytes.length, body.subarray(at, at + length));
        }
        at += length;
      }
    }
    own.bytes = bytes;
    for (const member of members) {
      member.chunks.set(grant.handle, { version: own.version, bytes: own.bytes, window: new Map(own.window) });
      member.#growth.changed(grant.handle);
    }
    return offsets;
  }

  /** This replica under the grant's version. A version above 1 begins with what is here, on all members. */
  #own(grant: Grant): FakeChunk {
    const known = this.chunks.get(grant.handle);
    if (known === undefined) {
      if (grant.version > 1 && !this.#cluster.isNew(grant.handle))
        throw new CairnError('CHUNK_MISSING', 'there is no such chunk here');
      const made = { version: grant.version, bytes: new Uint8Array(0), window: new Map<string, number>() };
      this.chunks.set(grant.handle, made);
      return made;
    }
    if (grant.version < known.version) throw new CairnError('STALE_VERSION', 'a later version is known here');
    known.version = grant.version;
    return known;
  }

  async #read(request: ReadRequest, peer: Peer) {
    this.reads.push(request);
    if ((await this.beforeRead(request, this.reads.length)) === 'lose') {
      peer.close('the answer is lost');
    }
    const chunk = this.chunks.get(request.handle);
    if (chunk === undefined) throw new CairnError('CHUNK_MISSING', 'there is no such chunk here');
    const body = chunk.bytes.slice(request.offset, request.offset + request.length);
    const crc = this.host.env.crc32(body);
    this.spoil?.(request, body);
    return { response: { crc, chunkLength: chunk.bytes.length, version: toChunkVersion(chunk.version) }, body: [body] };
  }
}

function withBytesAt(bytes: Uint8Array, offset: number, more: Uint8Array): Uint8Array {
  const all = new Uint8Array(Math.max(bytes.length, offset + more.length));
  all.set(bytes);
  all.set(more, offset);
  return all;
}

interface FakeChunkRecord {
  readonly handle: number;
  readonly index: number;
  version: number;
  servers: number[];
  sealedLength: number | undefined;
}

interface FakeInode {
  readonly inode: number;
  readonly kind: 'file' | 'directory';
  readonly children: Map<string, FakeInode>;
  chunks: Map<number, FakeChunkRecord>;
  chunkBytes: number;
  replication: number;
  durability: 'memory' | 'disk';
}

function mustBeOf(file: FakeInode, chunkBytes: number): void {
  if (file.chunkBytes !== chunkBytes) throw new CairnError('STALE_HANDLE', 'it has another chunk size now');
}

export class FakeMaster {
  address: Address;
  readonly #host: FakeHost;
  readonly root: FakeInode;
  readonly commands: { kind: string; id: CommandId }[] = [];
  readonly counts = new Map<string, number>();
  /** Called before each call is carried out; may throw, or hold it. */
  before: (kind: string, request: unknown) => void | Promise<void> = () => undefined;
  /** Whether the answer of this command is lost, after the work was done. */
  loses: (kind: string, count: number) => boolean = () => false;
  readonly #cluster: FakeCluster;
  readonly #results = new Map<string, unknown>();
  readonly #inodes = new Map<number, FakeInode>();
  readonly #acked = new Map<number, number>();
  readonly #changes: Waits<number, Attributes>;
  #nextHandle = 1;
  chunkBytes = 64 * 1024;

  constructor(cluster: FakeCluster, host: FakeHost, address: Address) {
    this.#cluster = cluster;
    this.#host = host;
    this.address = address;
    this.#changes = new Waits(host.env, 100);
    this.root = this.#newInode('directory');
  }

  async start(): Promise<Listener> {
    const { env } = this.#host;
    const reads: Handlers<typeof masterCalls> = {
      whoLeads: () => ({
        response: { clusterId: 'fake', leader: this.address, masters: [this.address], protocolVersion },
      }),
      stat: this.#reading('stat', ({ path }) => this.attributesOf(this.#find(path))),
      readdir: this.#reading('readdir', (request) => this.#readdir(request)),
      locate: this.#reading('locate', (request) => this.#locate(request)),
      shadow: async ({ ask }) => {
        await this.before('shadow', ask);
        if (ask.kind !== 'stat') throw new CairnError('NOT_SUPPORTED', 'only stat is answered so here');
        return {
          response: { ageMs: 0, answer: { kind: 'stat', attributes: this.attributesOf(this.#find(ask.path)) } },
        };
      },
      status: this.#reading('status', () => this.#status()),
      awaitChange: async ({ inode, known, waitMs }) => {
        this.counts.set('awaitChange', (this.counts.get('awaitChange') ?? 0) + 1);
        const look = (isOver: boolean) => {
          const attributes = this.attributesOf(this.#inode(inode));
          const { size, chunkCount, tail } = attributes;
          const isOther = size !== known.size || chunkCount !== known.chunkCount || tail?.version !== known.tailVersion;
          return isOver || isOther ? attributes : undefined;
        };
        return { response: { attributes: await this.#changes.wait(inode, waitMs, look) } };
      },
      openForWrite: this.#command('openForWrite', (request) => this.#openForWrite(request)),
      acquire: this.#command('acquire', (request) => this.#acquire(request)),
      mkdir: this.#command('mkdir', ({ path, parents }) => this.attributesOf(this.#mkdir(path, parents))),
      remove: this.#command('remove', (request) => this.#remove(request)),
      discard: this.#command('discard', (request) => ({ ...this.#remove(request), isKept: false })),
      set: this.#command('set', (request) => this.#set(request)),
      rename: this.#command('rename', (request) => this.#rename(request)),
      truncate: this.#command('truncate', ({ inode, chunkCount, chunkBytes }) => {
        const file = this.#inode(inode);
        mustBeOf(file, chunkBytes);
        for (const index of [...file.chunks.keys()]) if (index >= chunkCount) file.chunks.delete(index);
        return this.attributesOf(file);
      }),
    };
    const routes = routesOf(masterCalls, reads);
    const listener = await env.network.listen(this.address, (connection) =>
      RpcConnection.accept(env, connection, {}, routes),
    );
    this.address = listener.address;
    return listener;
  }

  #reading<K extends 'stat' | 'readdir' | 'locate' | 'status', R>(
    kind: K,
    work: (request: RequestOf<(typeof masterCalls)[K]>) => R,
  ) {
    return async (request: RequestOf<(typeof masterCalls)[K]>) => {
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
      await this.before(kind, request);
      return { response: work(request) };
    };
  }

  /** With a session table: once, in the order of first arrival; the first answer is repeated. */
  #command<K extends 'truncate' | 'openForWrite' | 'acquire' | 'mkdir' | 'set' | 'discard' | 'remove' | 'rename', R>(
    kind: K,
    work: (request: RequestOf<(typeof masterCalls)[K]>) => R,
  ) {
    return async (request: RequestOf<(typeof masterCalls)[K]>, { peer }: { peer: Peer }) => {
      const { id } = request as { id: CommandId };
      this.commands.push({ kind, id });
      const count = (this.counts.get(kind) ?? 0) + 1;
      this.counts.set(kind, count);
      await this.before(kind, request);
      const acked = Math.max(this.#acked.get(id.client) ?? 1, id.ackBelow);
      this.#acked.set(id.client, acked);
      if (id.sequence < acked) throw new CairnError('SESSION_EXPIRED', 'acknowledged already');
      const key = `${id.client}:${id.sequence}`;
      let result = this.#results.get(key) as { value: R } | { error: unknown } | undefined;
      if (result === undefined) {
        try {
          result = { value: work(request) };
        } catch (error) {
          result = { error };
        }
        this.#results.set(key, result);
        for (const inode of this.#inodes.keys()) this.#changes.changed(inode);
      }
      if (this.loses(kind, count)) peer.close('the answer is lost');
      if ('error' in result) throw result.error;
      return { response: result.value };
    };
  }

  // ---------------------------------------------------------------- what it keeps

  #newInode(kind: 'file' | 'directory'): FakeInode {
    const made: FakeInode = {
      inode: this.#inodes.size + 1,
      kind,
      children: new Map(),
      chunks: new Map(),
      chunkBytes: this.chunkBytes ?? 64 * 1024,
      replication: 3,
      durability: 'memory',
    };
    this.#inodes.set(made.inode, made);
    return made;
  }

  file(path: string): FakeInode {
    return this.#find(path);
  }

  /** The chunk is no longer open: its length is known. */
  seal(path: string, index: number): void {
    const chunk = this.#find(path).chunks.get(index)!;
    chunk.sealedLength = this.#cluster.server(chunk.servers[0]!).chunks.get(chunk.handle)?.bytes.length ?? 0;
    for (const inode of this.#inodes.keys()) this.#changes.changed(inode);
  }

  /** The file gets a copy of the chunk in its place, as after a snapshot of it. */
  split(path: string, index: number): void {
    const chunk = this.#find(path).chunks.get(index)!;
    const handle = this.#nextHandle++;
    for (const { chunks } of this.#cluster.servers) {
      const held = chunks.get(chunk.handle);
      if (held !== undefined) chunks.set(handle, { ...held, window: new Map(held.window) });
    }
    this.#find(path).chunks.set(index, { ...chunk, handle });
  }

  attributesOf(inode: FakeInode): Attributes {
    const last = [...inode.chunks.values()].toSorted((a, b) => b.index - a.index)[0];
    const known = last === undefined ? 0 : last.index * inode.chunkBytes + (last.sealedLength ?? 0);
    return {
      inode: toInodeId(inode.inode),
      kind: inode.kind,
      size: known,
      links: inode.kind === 'directory' ? inode.children.size : 1,
      modifiedAt: 1,
      createdAt: 1,
      chunkBytes: inode.chunkBytes,
      chunkCount: last === undefined ? 0 : last.index + 1,
      replication: inode.replication,
      durability: inode.durability,
      mode: 'strong',
      minReplicas: 1,
      tail: last === undefined || last.sealedLength !== undefined ? undefined : this.#locationOf(last),
    };
  }

  #locationOf({ index, handle, version, servers, sealedLength }: FakeChunkRecord): Location {
    return {
      index: toChunkIndex(index),
      handle: toChunkHandle(handle),
      version: toChunkVersion(version),
      replicas: this.#replicas(servers),
      sealedLength,
      knownLength: sealedLength ?? 0,
    };
  }

  #replicas(servers: readonly number[]) {
    return servers.map((id) => ({ server: toServerId(id), address: this.#cluster.server(id).address }));
  }

  #names(path: string): readonly string[] {
    const names = parsePath(path);
    if (!names.ok) throw new CairnError(names.code, names.message);
    return names.value;
  }

  #find(path: string): FakeInode {
    let at = this.root;
    for (const name of this.#names(path)) {
      const next = at.children.get(name);
      if (next === undefined) throw new CairnError('NOT_FOUND', `${path}: no such file or directory`);
      at = next;
    }
    return at;
  }

  #parent(path: string, parents: boolean): { directory: FakeInode; name: string } {
    const names = this.#names(path);
    let directory = this.root;
    for (const name of names.slice(0, -1)) {
      let next = directory.children.get(name);
      if (next === undefined) {
        if (!parents) throw new CairnError('NOT_FOUND', `${path}: no such file or directory`);
        next = this.#newInode('directory');
        directory.children.set(name, next);
      }
      if (next.kind === 'file') throw new CairnError('NOT_A_DIRECTORY', `${path}: is a file`);
      directory = next;
    }
    return { directory, name: names.at(-1) ?? '' };
  }

  // ---------------------------------------------------------------- calls

  #readdir({ path, after, limit, withAttributes }: RequestOf<typeof masterCalls.readdir>) {
    const directory = this.#find(path);
    if (directory.kind === 'file') throw new CairnError('NOT_A_DIRECTORY', `${path}: is a file`);
    const names = [...directory.children.keys()].sort().filter((name) => name > after);
    const entries = names.slice(0, limit).map((name) => {
      const child = directory.children.get(name)!;
      return {
        name,
        inode: toInodeId(child.inode),
        kind: child.kind,
        attributes: withAttributes ? this.attributesOf(child) : undefined,
      };
    });
    return { entries, more: names.length > limit };
  }

  #inode(id: number): FakeInode {
    const inode = this.#inodes.get(id);
    if (inode === undefined) throw new CairnError('STALE_HANDLE', `inode ${id} is gone`);
    return inode;
  }

  #locate({ inode, first, count }: RequestOf<typeof masterCalls.locate>) {
    const file = this.#inode(inode);
    const chunks = [...file.chunks.values()].filter(({ index }) => index >= first && index < first + count);
    return { attributes: this.attributesOf(file), locations: chunks.map((chunk) => this.#locationOf(chunk)) };
  }

  #set({ path, replication, durability, chunkBytes }: RequestOf<typeof masterCalls.set>) {
    const inode = this.#find(path);
    if (inode.chunks.size === 0) inode.chunkBytes = chunkBytes ?? inode.chunkBytes;
    inode.replication = replication ?? inode.replication;
    inode.durability = durability ?? inode.durability;
    return this.attributesOf(inode);
  }

  #openForWrite(request: RequestOf<typeof masterCalls.openForWrite>) {
    const { directory, name } = this.#parent(request.path, request.parents);
    let file = directory.children.get(name);
    const created = file === undefined;
    if (name === '' || file?.kind === 'directory')
      throw new CairnError('IS_A_DIRECTORY', `${request.path}: is a directory`);
    if (file === undefined) {
      if (request.create === 'never') throw new CairnError('NOT_FOUND', `${request.path}: no such file`);
      file = this.#newInode('file');
      file.chunkBytes = request.chunkBytes ?? this.chunkBytes;
      file.replication = request.replication ?? 3;
      file.durability = request.durability ?? 'memory';
      directory.children.set(name, file);
    } else if (request.create === 'exclusive') throw new CairnError('EXISTS', `${request.path}: exists already`);
    if (request.truncate) file.chunks = new Map();
    const allocates = request.allocate && file.chunks.size === 0;
    const grant = allocates ? this.#grantOf(file, this.#newChunk(file, 0)) : undefined;
    return { attributes: this.attributesOf(file), created, grant };
  }

  #newChunk(file: FakeInode, index: number): FakeChunkRecord {
    const servers = this.#cluster.servers.filter(({ host }) => host.isUp).map(({ id }) => id);
    const handle = this.#nextHandle++;
    // A different primary for each chunk.
    const turned = servers.map((_, n) => servers[(n + handle) % servers.length]!);
    const chunk = { handle, index, version: 1, servers: turned.slice(0, file.replication), sealedLength: undefined };
    file.chunks.set(index, chunk);
    return chunk;
  }

  #grantOf(file: FakeInode, { handle, version, servers }: FakeChunkRecord): Grant {
    return {
      handle: toChunkHandle(handle),
      version: toChunkVersion(version),
      replicas: this.#replicas(servers),
      durability: file.durability,
      mode: 'strong',
      minReplicas: 1,
      knownLength: 0,
    };
  }

  #acquire({ inode, index, chunkBytes, after, ifMissing }: RequestOf<typeof masterCalls.acquire>) {
    const file = this.#inode(inode);
    mustBeOf(file, chunkBytes);
    const known = file.chunks.get(index);
    if (known === undefined) {
      const { last } = ifMissing.kind === 'makeBehind' ? ifMissing : { last: undefined };
      const isBehind = file.chunks.get(index - 1)?.handle === last;
      if (ifMissing.kind === 'refuse' || (last !== undefined && !isBehind))
        throw new CairnError('CHUNK_CUT', `chunk ${index} was cut off`);
      return { grant: this.#grantOf(file, this.#newChunk(file, index)), created: true };
    }
    if (known.sealedLength !== undefined || (after !== undefined && after.version >= known.version)) {
      known.version += 1;
      known.sealedLength = undefined;
      const failed: readonly number[] = after?.failed ?? [];
      const good = known.servers.filter((id) => !failed.includes(id) && this.#cluster.server(id).host.isUp);
      if (good.length > 0) known.servers = good;
    }
    return { grant: this.#grantOf(file, known), created: false };
  }

  #mkdir(path: string, parents: boolean): FakeInode {
    const { directory, name } = this.#parent(path, parents);
    const known = name === '' ? this.root : directory.children.get(name);
    if (known !== undefined && (!parents || known.kind === 'file'))
      throw new CairnError('EXISTS', `${path}: exists already`);
    const made = known ?? this.#newInode('directory');
    if (known === undefined) directory.children.set(name, made);
    return made;
  }

  #remove({ path, recursive }: RequestOf<typeof masterCalls.remove>) {
    const { directory, name } = this.#parent(path, false);
    const known = directory.children.get(name);
    if (known === undefined) throw new CairnError('NOT_FOUND', `${path}: no such file or directory`);
    if (known.children.size > 0 && !recursive) throw new CairnError('NOT_EMPTY', `${path}: is not empty`);
    directory.children.delete(name);
    this.#inodes.set(known.inode, undefined as never);
    return {};
  }

  #rename({ from, to, replace }: RequestOf<typeof masterCalls.rename>) {
    const source = this.#parent(from, false);
    const target = this.#parent(to, false);
    const moved = source.directory.children.get(source.name);
    if (moved === undefined) throw new CairnError('NOT_FOUND', `${from}: no such file or directory`);
    if (target.directory.children.has(target.name) && !replace) throw new CairnError('EXISTS', `${to}: exists already`);
    source.directory.children.delete(source.name);
    target.directory.children.set(target.name, moved);
    return {};
  }

  #status() {
    const servers = this.#cluster.servers.map(({ id, address, host, chunks }) => ({
      id: toServerId(id),
      pid: id,
      address,
      rack: '',
      state: host.isUp ? ('healthy' as const) : ('dead' as const),
      chunks: chunks.size,
      needed: chunks.size,
      usedBytes: 10,
      totalBytes: 100,
      freeBytes: 90,
      lagBytes: 0,
      silentMs: 0,
    }));
    const counts = { files: 0, directories: 0, chunks: 0, underReplicatedChunks: 0, lostChunks: 0, replication: 3 };
    return { clusterId: 'fake', leader: toNodeId(1), masters: [], servers, ...counts };
  }
}

export class FakeCluster {
  readonly #world: SimWorld | undefined;
  readonly master: FakeMaster;
  readonly servers: readonly FakeServer[];
  readonly events: string[] = [];
  /** Of all servers, in the order of their arrival. */
  readonly mutations: MutateRequest[] = [];
  #listeners: readonly Listener[] = [];

  private constructor(
    hostOf: (name: string) => FakeHost,
    servers: number,
    address: Address | undefined,
    world?: SimWorld,
  ) {
    this.#world = world;
    const addressOf = (name: string) => address ?? toAddress(`${name}:1`);
    this.servers = Array.from({ length: servers }, (_, n) => {
      const name = `server-${n + 1}`;
      return new FakeServer(this, n + 1, hostOf(name), addressOf(name));
    });
    this.master = new FakeMaster(this, hostOf('master'), addressOf('master'));
  }

  static async start(
    seed: number | string,
    options: Partial<SimWorldOptions> & { readonly servers?: number } = {},
  ): Promise<FakeCluster> {
    const { servers = 3, ...rest } = options;
    let events: string[] = [];
    const world = testWorld(seed, { onEvent: ({ name }) => events.push(name), ...rest });
    const cluster = new FakeCluster((name) => world.node(name), servers, undefined, world);
    events = cluster.events;
    await cluster.run(cluster.#listen());
    return cluster;
  }

  /** The same with an Env of the machine, on ports that are free. */
  static async startOn(env: Env): Promise<FakeCluster> {
    const cluster = new FakeCluster(() => ({ env, isUp: true }), 3, toAddress('127.0.0.1:0'));
    await cluster.#listen();
    return cluster;
  }

  async #listen(): Promise<void> {
    this.#listeners = await Promise.all([this.master.start(), ...this.servers.map((server) => server.start())]);
  }

  /** For one that was started on the machine. */
  async stop(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  get world(): SimWorld {
    if (this.#world === undefined) throw new Error('this cluster runs on the machine');
    return this.#world;
  }

  server(id: number): FakeServer {
    return this.servers[id - 1]!;
  }

  /** Whether nobody has it: any version may begin it then. */
  isNew(handle: number): boolean {
    return !this.servers.some(({ chunks }) => chunks.has(handle));
  }

  client(settings: GivenSettings = {}, name = 'client'): Promise<CairnClient> {
    return this.run(CairnClient.start(this.world.node(name).env, [this.master.address], settings));
  }

  /** Runs the world until the promise has settled. */
  run<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    promise.catch(() => undefined);
    return this.world.settle(promise, limitMs);
  }

  /** What is in a file, from the replicas of the primary of each chunk. */
  content(path: string): Uint8Array {
    const file = this.master.file(path);
    const last = Math.max(-1, ...file.chunks.keys());
    const parts: Uint8Array[] = [];
    for (let index = 0; index <= last; index++) {
      const chunk = file.chunks.get(index);
      const bytes =
        chunk === undefined
          ? new Uint8Array(0)
          : (this.server(chunk.servers[0]!).chunks.get(chunk.handle)?.bytes ?? new Uint8Array(0));
      const whole = new Uint8Array(index === last ? bytes.length : file.chunkBytes);
      whole.set(bytes);
      parts.push(whole);
    }
    return concatBytes(parts);
  }

  /** The server that a chunk's mutations go to now. */
  primaryOf(path: string, index = 0): FakeServer {
    return this.server(this.master.file(path).chunks.get(index)!.servers[0]!);
  }
}

/** Bytes that differ at every place, from a seed. */
export function sample(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed * 2_654_435_761;
  for (let n = 0; n < length; n++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[n] = state >>> 24;
  }
  return bytes;
}
