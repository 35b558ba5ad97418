/**
 * One member of a bare consensus group as a process: the host of the masters (`system/rsm`), its write-ahead log and LMDB on a real disk,
 * the masters' own links between members, and a key-value machine in place of the metadata.
 */
import { join } from 'node:path';
import { type Address, toAddress, toNodeId } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import {
  defaultLimits,
  type ElectorName,
  type EngineName,
  type EngineTiming,
  type LeaseTerms,
  toEpoch,
} from '../../../core/consensus/index.ts';
import type { RequestOf } from '../../../core/protocol/call.ts';
import { openEvents } from '../../../platform/node/events.ts';
import { openLmdbMap } from '../../../platform/node/lmdb.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { Peers } from '../../../system/master/peers.ts';
import { collectBody } from '../../../system/rpc/body.ts';
import { type Handlers, routesOf } from '../../../system/rpc/handlers.ts';
import { RpcConnection } from '../../../system/rpc/rpc-connection.ts';
import { Replica } from '../../../system/rsm/replica.ts';
import { OverlayStore } from '../../../system/storage/overlay-store.ts';
import { openWriteAheadLog } from '../../../system/storage/wal/open-write-ahead-log.ts';
import { answer } from '../process/asking.ts';
import { Counters, type Counts, countingEnv, countingTransport } from './counting.ts';
import { offerOf } from './engines.ts';
import { encodePut, KeyValueMachine, type MemberCalls, memberCalls, readValue } from './kv.ts';

export interface MemberPlan {
  readonly engine: EngineName;
  readonly elector: ElectorName;
  readonly id: number;
  /** Everybody who ever belongs to the group. */
  readonly members: readonly { readonly id: number; readonly address: string }[];
  /** Those who begin it. */
  readonly voters: readonly number[];
  readonly dir: string;
  readonly timing: EngineTiming;
  readonly lease?: LeaseTerms;
  readonly extraFlushMs: number;
}

export interface MemberState {
  readonly leading: boolean;
  /** It leads and has committed in its own term. */
  readonly established: boolean;
  readonly leader: number | undefined;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly counts: Counts;
}

export interface FlushTold {
  readonly tookMs: number;
  /** How much was not durable before, as the store counts it. */
  readonly dirtyBytes: number;
}

export type MemberAnswers = typeof answers;

let member: Member | undefined;

const answers = {
  start: async (plan: MemberPlan): Promise<void> => {
    member = await Member.start(plan);
  },
  state: (_: null): MemberState => running().state(),
  /** Makes the state durable and lets go of the log behind it: what a snapshot is here. */
  flush: (_: null): Promise<FlushTold> => running().flush(),
  /** Of the leader: these are to vote. @returns how long it took, in ms */
  changeVoters: (voters: readonly number[]): Promise<number> => running().changeVoters(voters),
  /** Of the leader: these are to vote as they do, and this one is to listen. */
  addListener: (change: { readonly voters: readonly number[]; readonly listener: number }): Promise<number> =>
    running().addListener(change.voters, change.listener),
};

function running(): Member {
  if (member === undefined) throw new Error('this member has not been started');
  return member;
}

export function serve(): void {
  answer(answers);
}

class Member {
  readonly #plan: MemberPlan;
  readonly #env: Env;
  readonly #addresses: ReadonlyMap<number, Address>;
  readonly #peers: Peers;
  readonly #counters = new Counters();
  #replica: Replica | undefined;

  private constructor(plan: MemberPlan, env: Env) {
    this.#plan = plan;
    this.#env = countingEnv(env, this.#counters);
    const members = plan.members.map(({ id, address }) => ({ id: toNodeId(id), address: toAddress(address) }));
    this.#addresses = new Map(members.map(({ id, address }) => [id, address]));
    this.#peers = new Peers(this.#env, () => toNodeId(plan.id), { addressOf: (id) => this.#addresses.get(id) });
  }

  static async start(plan: MemberPlan): Promise<Member> {
    const events = await openEvents({ level: 'info', destination: 1, base: { member: plan.id } });
    const member = new Member(plan, nodeEnv({ dir: plan.dir, events, disk: { extraFlushMs: plan.extraFlushMs } }));
    await member.#open();
    return member;
  }

  async #open(): Promise<void> {
    const { engine, elector, id, voters, timing, lease, dir } = this.#plan;
    const env = this.#env;
    const routes = routesOf(memberCalls, this.#handlers());
    await env.network.listen(this.#addresses.get(id)!, (connection) =>
      RpcConnection.accept(env, connection, {}, routes),
    );
    this.#replica = await Replica.open({
      env,
      kind: offerOf(engine).kind,
      config: {
        id: toNodeId(id),
        bootstrap: { voters: voters.map(toNodeId), nonVoters: [] },
        epoch: toEpoch(1),
        seed: env.random.id53(),
        crc32: env.crc32,
        timing,
        limits: defaultLimits,
        elector,
        ...(lease === undefined ? {} : { lease }),
      },
      directory: 'log',
      openLog: openWriteAheadLog,
      store: new OverlayStore(await openLmdbMap(join(dir, 'state'))),
      stateMachine: new KeyValueMachine(),
      transport: countingTransport(this.#peers, this.#counters),
      onLeadership: () => {},
      onFailure: (error) => {
        process.stderr.write(`${error.stack}\n`);
        process.exit(1);
      },
    });
  }

  state(): MemberState {
    const replica = this.#opened();
    const { commitIndex, appliedIndex } = replica.status;
    const { flushes, messages, messageBytes, snapshotBytes } = this.#counters;
    return {
      ...replica.leadership,
      commitIndex,
      appliedIndex,
      counts: { flushes, messages, messageBytes, snapshotBytes },
    };
  }

  async flush(): Promise<FlushTold> {
    const { dirtyBytes } = this.#opened().store;
    return { dirtyBytes, tookMs: await timed(() => this.#opened().flush()) };
  }

  changeVoters(voters: readonly number[]): Promise<number> {
    const members = { voters: voters.map(toNodeId), nonVoters: [] };
    return timed(() => this.#opened().control({ kind: 'changeMembers', members }));
  }

  addListener(voters: readonly number[], listener: number): Promise<number> {
    const members = { voters: voters.map(toNodeId), nonVoters: [toNodeId(listener)] };
    return timed(() => this.#opened().control({ kind: 'changeMembers', members }));
  }

  #opened(): Replica {
    if (this.#replica === undefined) throw new CairnError('UNAVAILABLE', 'this member is starting; try again later');
    return this.#replica;
  }

  #leaderAddress(): Address | undefined {
    const { leader } = this.#opened().leadership;
    return leader === undefined ? undefined : this.#addresses.get(leader);
  }

  #handlers(): Handlers<MemberCalls> {
    return {
      put: async ({ id, key, value }) => {
        await this.#leading(() => this.#opened().execute(id, encodePut(key, value)));
        return { response: {} };
      },
      get: async ({ key, level }) => {
        const replica = this.#opened();
        if (level !== 'stale') await this.#leading(() => replica.barrier());
        return { response: { value: readValue(replica.store, key) } };
      },
      who: () => {
        const { leading, established, term } = this.#opened().leadership;
        return { response: { leading, established, leader: this.#leaderAddress(), term } };
      },
      consensus: {
        begin: ({ from }, bodyBytes, context) =>
          collectBody(
            bodyBytes,
            (message) => {
              context.reply({});
              this.#replica?.receive(from, message);
            },
            () => context.reply({}),
          ),
      },
      snapshotPart: (request, _, body) => this.#snapshotPart(request, body),
    };
  }

  async #snapshotPart({ from, epoch: _, ...part }: RequestOf<MemberCalls['snapshotPart']>, body: Uint8Array) {
    return { response: { nextPart: await this.#opened().receiveSnapshotPart(from, part, body) } };
  }

  /** A refusal because another leads says who. */
  async #leading<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code !== 'NOT_LEADER') throw error;
      throw new CairnError('NOT_LEADER', error.message, { cause: error, hint: this.#leaderAddress() ?? '' });
    }
  }
}

async function timed(act: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await act();
  return performance.now() - startedAt;
}
