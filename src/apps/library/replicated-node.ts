/**
 * One member of a group that replicates a state machine: engine, write-ahead log, LMDB and links to the other members, in this process. Any
 * member takes commands and questions, and passes them to whoever leads; a command that must be repeated still takes effect once.
 */
import { join } from 'node:path';
import { type Address, type NodeId, toAddress, toNodeId } from '../../core/base/brand.ts';
import type { Env, Events, Listener } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import {
  defaultLimits,
  defaultTiming,
  type ElectorName,
  type EngineConfig,
  type EngineKind,
  type EngineStatus,
  type EngineTiming,
  type LeaseTerms,
  toEpoch,
} from '../../core/consensus/index.ts';
import { type DirectoryLock, lockDirectory } from '../../platform/node/directory-lock.ts';
import { openLmdbMap } from '../../platform/node/lmdb.ts';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CommandIds } from '../../system/client/command-ids.ts';
import { termsOf } from '../../system/master/membership/terms.ts';
import { Peers } from '../../system/master/peers.ts';
import { collectBody } from '../../system/rpc/body.ts';
import { type Handlers, routesOf } from '../../system/rpc/handlers.ts';
import { LeaderChannel } from '../../system/rpc/leader-channel.ts';
import { RpcConnection } from '../../system/rpc/rpc-connection.ts';
import { Replica } from '../../system/rsm/replica.ts';
import type { StateMachine } from '../../system/rsm/state-machine.ts';
import type { Reader } from '../../system/storage/ordered-store.ts';
import { OverlayStore } from '../../system/storage/overlay-store.ts';
import { openWriteAheadLog } from '../../system/storage/wal/open-write-ahead-log.ts';
import { isAddress } from '../config/address.ts';
import { claimDirectory } from '../roles/identity.ts';
import { Meeting } from './meeting.ts';
import { type NodeCalls, nodeCalls } from './node-calls.ts';

const deadlineDefaultMs = 10_000;
/** A member that is stopped, or cut off, costs this much. */
const greetingMs = 700;
const messageMaxBytes = 32 * 1024 * 1024;

/** A state machine that can be asked as well. Its state is in the store: what it keeps elsewhere is a cache, dropped by `reset`. */
export interface Machine extends Pick<StateMachine, 'apply'>, Partial<Pick<StateMachine, 'reset' | 'save'>> {
  /**
   * By which it applies commands; 1 if not given. Raised when a new version of it knows commands that the one before does not: members of
   * different rules refuse each other, and a directory never goes back to lower ones. What a command that may be in a log does must stay as it is.
   */
  readonly rules?: number;
  /** Answers from the state; changes nothing. A throw is the asker's error. */
  query?(question: Uint8Array, store: Reader): Uint8Array;
}

export interface NodeOptions {
  /** Which of the members this is. */
  readonly id: number;
  /** host:port by id, the same on all members. */
  readonly members: Readonly<Record<number, string>>;
  /** This member's own; made if it is missing. */
  readonly dir: string;
  /** `Raft` or `MultiPaxos`: the same on all members, and for the life of the directory. */
  // biome-ignore lint/suspicious/noExplicitAny: the host does not look into an engine's messages and records
  readonly engine: EngineKind<any, any>;
  readonly machine: Machine;
  readonly elector?: ElectorName;
  /** With it, reads at the leader need no round of messages while the lease holds. */
  readonly lease?: LeaseTerms;
  readonly timing?: Partial<EngineTiming>;
  /** Within this time a call succeeds or throws; 10 s if not given. */
  readonly deadlineMs?: number;
  readonly events?: Events;
  /**
   * The disk failed, or the state contradicts itself: this member has stopped. Calls go to the others, `query` at `stale` answers what this one
   * knew then. Or CONFIG_INVALID: all others refuse this member, which takes no part until it is started as they are.
   */
  onFailure?(error: CairnError): void;
}

export class ReplicatedNode {
  readonly #options: NodeOptions;
  readonly #env: Env;
  readonly #self: NodeId;
  readonly #addresses: ReadonlyMap<NodeId, Address>;
  readonly #peers: Peers;
  readonly #meeting: Meeting;
  readonly #ids: CommandIds;
  #replica!: Replica;
  #listener: Listener | undefined;
  readonly #connections = new Set<RpcConnection<Record<never, never>>>();
  #channel: LeaderChannel<NodeCalls, Record<never, never>> | undefined;
  #lock: DirectoryLock | undefined;

  private constructor(options: NodeOptions) {
    this.#options = options;
    this.#env = nodeEnv({ dir: options.dir, ...(options.events === undefined ? {} : { events: options.events }) });
    this.#self = toNodeId(options.id);
    this.#addresses = new Map(
      Object.entries(options.members).map(([id, address]) => [toNodeId(Number(id)), toAddress(address)] as const),
    );
    const { engine: kind, machine } = options;
    this.#meeting = new Meeting({
      ...{ env: this.#env, self: this.#self, others: [...this.#addresses.keys()].filter((id) => id !== this.#self) },
      terms: termsOf({ kind, config: engineTermsOf(options), rules: machine.rules ?? 1 }),
      refusedByAll: (error) => options.onFailure?.(error),
    });
    this.#peers = new Peers(this.#env, () => this.#self, {
      addressOf: (id) => this.#addresses.get(id),
      greet: (node, rpc, at) => this.#meeting.greet(node, rpc, at),
    });
    this.#ids = new CommandIds(this.#env);
  }

  /**
   * @throws CairnError CONFIG_INVALID, DIR_IN_USE, PORT_IN_USE, LOG_CORRUPT, DISK_FAILED; WRONG_CLUSTER, WRONG_FORMAT where the directory is
   * another member's, was made with another engine, or has seen higher rules
   */
  static async start(options: NodeOptions): Promise<ReplicatedNode> {
    for (const [id, address] of Object.entries(options.members))
      if (!isAddress(address))
        throw new CairnError('CONFIG_INVALID', `member ${id}: '${address}' is no address; give host:port`);
    const { deadlineMs = deadlineDefaultMs } = options;
    if (!(deadlineMs > 0))
      throw new CairnError('CONFIG_INVALID', `a deadline of ${deadlineMs} ms; give a positive number`);
    const node = new ReplicatedNode(options);
    if (!node.#addresses.has(node.#self))
      throw new CairnError('CONFIG_INVALID', `node ${options.id} is not among the members; add it to them`);
    try {
      await node.#open();
    } catch (thrown) {
      await node.close();
      throw thrown;
    }
    return node;
  }

  /**
   * Commits the command and returns what the machine made of it. Exactly once, however often it had to be sent.
   * @throws CairnError NO_QUORUM (it did not happen), UNKNOWN_OUTCOME (it may have, or may yet), TOO_LARGE, BUSY; INVALID_ARGUMENT if it is empty
   */
  execute(command: Uint8Array): Promise<Uint8Array> {
    if (command.length === 0)
      return Promise.reject(new CairnError('INVALID_ARGUMENT', 'a command has at least one byte; give it some'));
    return this.#ids.run(async (id) => {
      try {
        return (await this.#leaderChannel().call('execute', { id, command })).result;
      } catch (thrown) {
        if (toCairnError(thrown).code === 'SESSION_EXPIRED') this.#ids.sessionExpired(id.client);
        throw thrown;
      }
    });
  }

  /**
   * Asks the machine. `linearizable` (if not given): sees everything acknowledged before, on any member. `stale`: what this member has
   * applied, without asking anybody.
   * @throws CairnError NO_QUORUM, NOT_SUPPORTED, and what `query` throws
   */
  async query(question: Uint8Array, level: 'linearizable' | 'stale' = 'linearizable'): Promise<Uint8Array> {
    if (level === 'stale') return this.#ask(question);
    return (await this.#leaderChannel().call('query', { question }, { isHarmless: true })).answer;
  }

  /** Role, term or ballot, leader, and how far its log, commit and state are. */
  get status(): EngineStatus {
    return this.#replica.status;
  }

  /** Leaves the group standing; comes back with its data by `start`. */
  async close(): Promise<void> {
    this.#channel?.close();
    this.#peers.close();
    await this.#listener?.close();
    for (const connection of this.#connections) connection.close('this member stops');
    await (this.#replica as Replica | undefined)?.close();
    await this.#lock?.release();
  }

  async #open(): Promise<void> {
    const { dir, engine, machine, timing } = this.#options;
    const env = this.#env;
    this.#lock = await lockDirectory(dir);
    claimDirectory(dir, {
      cluster: '',
      role: 'member',
      id: this.#self,
      engine: engine.name,
      rules: machine.rules ?? 1,
    });
    const routes = routesOf(nodeCalls, this.#handlers());
    this.#replica = await Replica.open({
      env,
      kind: engine,
      config: {
        id: this.#self,
        bootstrap: { voters: [...this.#addresses.keys()], nonVoters: [] },
        epoch: toEpoch(1),
        seed: env.random.id53(),
        crc32: env.crc32,
        timing: { ...defaultTiming, ...timing },
        limits: defaultLimits,
        ...engineTermsOf(this.#options),
      },
      directory: 'log',
      openLog: openWriteAheadLog,
      store: new OverlayStore(await openLmdbMap(join(dir, 'state'))),
      stateMachine: {
        apply: (command, context) => machine.apply(command, context),
        reset: (store) => machine.reset?.(store),
        save: () => machine.save?.(),
      },
      transport: this.#peers,
      onLeadership: () => undefined,
      onFailure: (error) => this.#options.onFailure?.(error),
    });
    this.#listener = await env.network.listen(this.#addresses.get(this.#self)!, (connection) => {
      const rpc = RpcConnection.accept(env, connection, {}, routes, () => this.#connections.delete(rpc));
      this.#connections.add(rpc);
      return rpc;
    });
  }

  /** Opened when it is first needed: begins at this member, which knows who leads. */
  #leaderChannel(): LeaderChannel<NodeCalls, Record<never, never>> {
    this.#channel ??= new LeaderChannel<NodeCalls, Record<never, never>>({
      env: this.#env,
      masters: [...this.#addresses.values()],
      calls: nodeCalls,
      deadlineMs: this.#options.deadlineMs ?? deadlineDefaultMs,
      greet: async (rpc) => {
        await rpc.call('hello', {}, { timeoutMs: greetingMs }); // what is not sent to somebody who is there has no outcome
      },
    });
    return this.#channel;
  }

  #handlers(): Handlers<NodeCalls> {
    return {
      execute: async ({ id, command }) => ({
        response: { result: await this.#leading(() => this.#replica.execute(id, command)) },
      }),
      query: async ({ question }) => {
        await this.#leading(() => this.#replica.barrier());
        return { response: { answer: this.#ask(question) } };
      },
      hello: () => ({ response: {} }),
      consensus: {
        begin: ({ from }, bodyBytes, context) => {
          this.#meeting.mustHaveMet(context.peer, from);
          if (bodyBytes === 0 || bodyBytes > messageMaxBytes)
            throw new CairnError('PROTOCOL', `a message of ${bodyBytes} bytes; it has 1 … ${messageMaxBytes}`);
          const whole = (message: Uint8Array) => {
            context.reply({});
            this.#replica.receive(from, message);
          };
          return collectBody(bodyBytes, whole, () => context.reply({}));
        },
      },
      introduce: (frame, { peer }) => ({ response: this.#meeting.introduce(frame, peer) }),
      snapshotPart: async ({ from, to: _, epoch: __, ...part }, { peer }, body) => {
        this.#meeting.mustHaveMet(peer, from);
        return { response: { nextPart: await this.#replica.receiveSnapshotPart(from, part, body) } };
      },
    };
  }

  #ask(question: Uint8Array): Uint8Array {
    const { machine } = this.#options;
    if (machine.query === undefined)
      throw new CairnError('NOT_SUPPORTED', 'this state machine answers no questions; give it a query function');
    return machine.query(question, this.#replica.store);
  }

  #leaderAddress(): Address | undefined {
    const { leader } = this.#replica.leadership;
    return leader === undefined ? undefined : this.#addresses.get(leader);
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

function engineTermsOf({ elector, lease }: NodeOptions): Pick<EngineConfig, 'elector' | 'lease'> {
  return { ...(elector === undefined ? {} : { elector }), ...(lease === undefined ? {} : { lease }) };
}
