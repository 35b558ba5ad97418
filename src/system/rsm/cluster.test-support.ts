/** A few replicas of a small key-value machine in the simulated world, for tests of the host. */
import { type Address, type NodeId, toAddress, toNodeId } from '../../core/base/brand.ts';
import { fromUtf8, toUtf8 } from '../../core/base/bytes.ts';
import { blob, bool, decode, encode, struct, text, u16, u32, varint } from '../../core/base/codec.ts';
import type { Connection, Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { defaultLimits, defaultTiming, toEpoch } from '../../core/consensus/engine.ts';
import type { RaftMessage, RaftRecord } from '../../core/consensus/index.ts';
import { Raft } from '../../core/consensus/index.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { SimWorld, SimWorldOptions } from '../../platform/sim/world.ts';
import { collectBody } from '../rpc/body.ts';
import { openFileMap } from '../storage/file-map.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { openWriteAheadLog } from '../storage/wal/open-write-ahead-log.ts';
import { Replica, type ReplicaLimits, type SnapshotPart } from './replica.ts';
import type { ApplyContext, StateMachine } from './state-machine.ts';

/** `key=value` appends `value,` to what is under key and returns it; so a command applied twice shows. */
export class AppendingMachine implements StateMachine {
  apply(command: Uint8Array, { store }: ApplyContext): Uint8Array {
    const [key, value] = fromUtf8(command)!.split('=') as [string, string];
    const before = store.get(`k${key}`);
    const after = toUtf8(`${before === undefined ? '' : fromUtf8(before)!}${value},`);
    store.put(`k${key}`, after);
    return after;
  }
  reset(): void {}
}

export function readKey(store: OrderedStore, key: string): string {
  const found = store.get(`k${key}`);
  return found === undefined ? '' : fromUtf8(found)!;
}

const wire = struct({
  kind: u16,
  id: varint,
  from: u16,
  part: struct({ term: varint, index: varint, point: blob, part: varint, last: bool, checksum: u32 }),
  failure: text,
});
const noPart: SnapshotPart = { term: 0, index: 0, point: new Uint8Array(0), part: 0, last: false, checksum: 0 };
const kinds = { message: 1, part: 2, partTaken: 3 } as const;

export type TestReplica = Replica<RaftMessage, RaftRecord>;

export interface TestMember {
  readonly id: NodeId;
  readonly node: SimNode;
  replica: TestReplica | undefined;
  failure: CairnError | undefined;
}

export class TestCluster {
  readonly world: SimWorld;
  readonly members: TestMember[];
  readonly #limits: Partial<ReplicaLimits>;

  private constructor(world: SimWorld, size: number, limits: Partial<ReplicaLimits>) {
    this.world = world;
    this.#limits = limits;
    this.members = Array.from({ length: size }, (_, i) => ({
      id: toNodeId(i + 1),
      node: world.node(`m${i + 1}`),
      replica: undefined,
      failure: undefined,
    }));
  }

  static async start(
    seed: number,
    options: { size?: number; limits?: Partial<ReplicaLimits>; world?: Partial<SimWorldOptions> } = {},
  ): Promise<TestCluster> {
    const cluster = new TestCluster(testWorld(seed, options.world), options.size ?? 3, options.limits ?? {});
    for (const member of cluster.members) cluster.boot(member);
    return cluster;
  }

  /** Starts the program of a member on its present Env. */
  boot(member: TestMember): void {
    void open(member, this.members, this.#limits);
  }

  restart(member: TestMember): void {
    member.node.restart();
    this.boot(member);
  }

  crash(member: TestMember, loseUnsynced: boolean): void {
    member.replica = undefined;
    member.node.crash({ loseUnsynced });
  }

  get leader(): TestMember | undefined {
    const leading = this.members.filter((member) => member.replica?.leadership.established === true);
    return leading.sort((a, b) => b.replica!.leadership.term - a.replica!.leadership.term)[0];
  }

  async untilLeader(): Promise<TestMember> {
    if (!(await this.world.runUntil(() => this.leader !== undefined, 20_000))) throw new Error('no leader came up');
    return this.leader!;
  }

  /** Runs a command at whoever leads until it has an answer. */
  async execute(client: number, sequence: number, command: string): Promise<string> {
    for (let attempt = 0; attempt < 200; attempt++) {
      const leader = await this.untilLeader();
      const id = { client, sequence, ackBelow: sequence };
      const tried = leader.replica!.execute(id, toUtf8(command)).then(
        (result) => ({ result }),
        (error: CairnError) => ({ error }),
      );
      const outcome = await this.world.settle(Promise.race([tried, this.#delay(500)]));
      if (outcome !== undefined && 'result' in outcome) return fromUtf8(outcome.result)!;
      if (outcome !== undefined && outcome.error.retry === 'never' && outcome.error.code !== 'ABORTED')
        throw outcome.error;
      await this.world.run(20);
    }
    throw new Error(`${command} had no answer`);
  }

  #delay(ms: number): Promise<undefined> {
    return new Promise((resolve) => {
      this.world.after(ms, () => resolve(undefined));
    });
  }
}

function addressOf(id: NodeId): Address {
  return toAddress(`m${id}:1`);
}

async function open(member: TestMember, members: readonly TestMember[], limits: Partial<ReplicaLimits>): Promise<void> {
  const { env } = member.node;
  const links = new Links(env, member, members);
  try {
    const store = new OverlayStore(await openFileMap(env, 'store'));
    const replica = await Replica.open<RaftMessage, RaftRecord>({
      env,
      kind: Raft,
      config: {
        id: member.id,
        bootstrap: { voters: members.map(({ id }) => id), nonVoters: [] },
        epoch: toEpoch(1),
        seed: env.random.id53(),
        crc32: env.crc32,
        timing: defaultTiming,
        limits: defaultLimits,
      },
      directory: 'log',
      openLog: openWriteAheadLog,
      store,
      stateMachine: new AppendingMachine(),
      transport: links,
      limits,
      onLeadership: () => {},
      onFailure: (error) => {
        member.failure = error;
      },
    });
    if (member.node.isUp && member.node.env === env) member.replica = replica;
    await links.listen(replica);
  } catch (thrown) {
    member.failure = thrown as CairnError;
  }
}

/** One connection to each peer; a broken one is opened anew by the next message. */
class Links {
  readonly #env: Env;
  readonly #member: TestMember;
  readonly #open = new Map<NodeId, Connection>();
  readonly #waiting = new Map<number, { resolve: (next: number) => void; reject: (error: CairnError) => void }>();
  #nextId = 1;
  #replica: TestReplica | undefined;

  constructor(env: Env, member: TestMember, _members: readonly TestMember[]) {
    this.#env = env;
    this.#member = member;
  }

  async listen(replica: TestReplica): Promise<void> {
    this.#replica = replica;
    await this.#env.network.listen(addressOf(this.#member.id), (connection) => this.#handler(() => connection));
  }

  send(to: NodeId, message: Uint8Array): void {
    this.#write(this.#link(to), { kind: kinds.message, id: 0, part: noPart, failure: '' }, message);
  }

  sendSnapshotPart(to: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#write(this.#link(to), { kind: kinds.part, id, part, failure: '' }, bytes);
    });
  }

  #write(
    connection: Connection,
    head: { kind: number; id: number; part: SnapshotPart; failure: string },
    body: Uint8Array,
  ) {
    connection.send(encode(wire, { ...head, from: this.#member.id }), [body]);
  }

  #link(to: NodeId): Connection {
    const known = this.#open.get(to);
    if (known !== undefined) return known;
    const made: Connection = this.#env.network.connect(
      addressOf(to),
      this.#handler(() => made, to),
    );
    this.#open.set(to, made);
    return made;
  }

  #handler(connection: () => Connection, to?: NodeId) {
    return {
      frame: (head: Uint8Array, bodyBytes: number) => {
        const { kind, id, from, part, failure } = decode(wire, head.slice());
        const take = (body: Uint8Array) => this.#take(connection(), kind, id, toNodeId(from), part, failure, body);
        if (bodyBytes > 0) return collectBody(bodyBytes, take, () => {});
        take(new Uint8Array(0));
        return undefined;
      },
      closed: () => {
        if (to === undefined) return;
        this.#open.delete(to);
        for (const { reject } of this.#waiting.values()) reject(new CairnError('CONNECTION_LOST', 'the link broke'));
        this.#waiting.clear();
      },
    };
  }

  #take(
    back: Connection,
    kind: number,
    id: number,
    from: NodeId,
    part: SnapshotPart,
    failure: string,
    body: Uint8Array,
  ) {
    if (kind === kinds.message) this.#replica!.receive(from, body);
    else if (kind === kinds.part)
      this.#replica!.receiveSnapshotPart(from, part, body).then(
        (next) =>
          this.#write(
            back,
            { kind: kinds.partTaken, id: id * 1_000_000 + next, part: noPart, failure: '' },
            new Uint8Array(0),
          ),
        (error: CairnError) =>
          this.#write(
            back,
            { kind: kinds.partTaken, id: id * 1_000_000, part: noPart, failure: error.message },
            new Uint8Array(0),
          ),
      );
    else {
      const waiting = this.#waiting.get(Math.floor(id / 1_000_000));
      this.#waiting.delete(Math.floor(id / 1_000_000));
      if (failure === '') waiting?.resolve(id % 1_000_000);
      else waiting?.reject(new CairnError('ABORTED', failure));
    }
  }
}
