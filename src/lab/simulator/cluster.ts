/**
 * A whole cluster in one simulated world: the masters, chunkservers and clients that run as processes elsewhere, put together in the same
 * way. What a supervisor would do (start again what died) is up to the scenario; a process that gives up on its own is reported.
 */
import { type Address, type NodeId, toAddress, toServerId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { type CairnError, toCairnError } from '../../core/base/errors.ts';
import { defaultLimits, type EngineName, toEpoch } from '../../core/consensus/index.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import { Chunkserver } from '../../system/chunkserver/chunkserver.ts';
import { CairnClient } from '../../system/client/client.ts';
import { Master } from '../../system/master/master.ts';
import type { Tables } from '../../system/master/state/tables.ts';
import { blockBytes } from '../../system/storage/chunk-store.ts';
import { openFileMap } from '../../system/storage/file-map.ts';
import { OverlayStore } from '../../system/storage/overlay-store.ts';
import { openWriteAheadLog } from '../../system/storage/wal/open-write-ahead-log.ts';
import { engineNamed } from './engines.ts';
import type { Scenario } from './scenario.ts';
import { CommitWatch, watchedKind } from './watched-engine.ts';

const clusterId = 'simulated';
const port = 7000;

export type SimulatedMaster = Master<unknown, unknown>;

/** A node and the program on it; `process` is undefined while it starts or is down. */
export interface Member<Process> {
  readonly node: SimNode;
  readonly id: number;
  process: Process | undefined;
}

export interface ClusterOptions {
  readonly world: SimWorld;
  readonly engine: EngineName;
  readonly scenario: Scenario;
  /** A process gave up, or did not start: never expected while the disks are sound. */
  onFailure(node: SimNode, error: CairnError): void;
}

export class SimCluster {
  readonly world: SimWorld;
  readonly scenario: Scenario;
  readonly commits = new CommitWatch();
  readonly masters: readonly Member<SimulatedMaster>[];
  readonly chunkservers: readonly Member<Chunkserver>[];
  readonly clientNodes: readonly SimNode[];
  readonly #options: ClusterOptions;

  constructor(options: ClusterOptions) {
    const { world, scenario } = options;
    this.#options = options;
    this.world = world;
    this.scenario = scenario;
    const drift = world.random.fork('drift');
    const nodes = (letter: string, count: number) =>
      Array.from({ length: count }, (_, i) =>
        world.node(`${letter}${i + 1}`, {
          clockDriftPpm: drift.between(-scenario.clockDriftPpm, scenario.clockDriftPpm),
        }),
      );
    const members = (letter: string, count: number) =>
      nodes(letter, count).map((node, i) => ({ node, id: i + 1, process: undefined }));
    this.masters = members('m', scenario.masters);
    this.chunkservers = members('s', scenario.chunkservers);
    this.clientNodes = nodes('c', scenario.clients);
  }

  get masterAddresses(): readonly Address[] {
    return this.masters.map(({ node }) => addressOf(node));
  }

  /** Starts all masters and chunkservers. */
  bootAll(): void {
    for (const member of this.masters) void this.#bootMaster(member);
    for (const member of this.chunkservers) void this.#bootChunkserver(member);
  }

  /** Starts the program of a server that is down on its disk again. False for a node of a client. */
  restart(node: SimNode): boolean {
    const master = this.masters.find((member) => member.node === node);
    const chunkserver = this.chunkservers.find((member) => member.node === node);
    if (master === undefined && chunkserver === undefined) return false;
    node.restart();
    if (master !== undefined) void this.#bootMaster(master);
    if (chunkserver !== undefined) void this.#bootChunkserver(chunkserver);
    return true;
  }

  /** Its disk fails, and the machine is started with an empty one. */
  replaceDisk(master: Member<SimulatedMaster>): void {
    master.node.crash({ loseUnsynced: true });
    master.node.disk.replace();
    this.restart(master.node);
  }

  /** All masters run and vote, and one of them leads. */
  get areMastersWhole(): boolean {
    const members = this.leader?.replica.status.members;
    if (members === undefined || members.votersNext !== undefined || members.nonVoters.length > 0) return false;
    const isWhole = (master: Member<SimulatedMaster>) =>
      !master.node.isHeld && members.voters.includes(runningOf(master)?.node ?? (0 as NodeId));
    return members.voters.length === this.masters.length && this.masters.every(isWhole);
  }

  /** Every machine but the clients' loses power at this moment, those too whose process was down. */
  blackout(): void {
    for (const { node } of [...this.masters, ...this.chunkservers]) {
      if (node.isUp) node.crash({ loseUnsynced: true });
      else node.disk.losePower();
    }
  }

  startClient(env: Env): Promise<CairnClient> {
    return CairnClient.start(env, this.masterAddresses, this.scenario.client);
  }

  /** The master that leads and can be asked for its tables. */
  get leader(): SimulatedMaster | undefined {
    const leading = this.masters.flatMap((member) => {
      const process = runningOf(member);
      return process?.isLeading === true ? [process] : [];
    });
    return leading.sort((a, b) => b.replica.leadership.term - a.replica.leadership.term)[0];
  }

  get tables(): Tables | undefined {
    return this.leader?.machine.tables;
  }

  /** All masters run, one leads, and all chunkservers have a session. */
  get isUp(): boolean {
    return (
      this.masters.every((member) => runningOf(member) !== undefined) &&
      this.leader !== undefined &&
      this.chunkservers.every((member) => runningOf(member)?.isServing === true)
    );
  }

  async #bootMaster(member: Member<SimulatedMaster>): Promise<void> {
    await this.#boot(member, async (env, fail) => {
      const { scenario } = this;
      const masters = this.masters.map((other) => ({ id: other.id, address: addressOf(other.node) }));
      return Master.start({
        env,
        id: member.id,
        clusterId,
        pid: member.id,
        masters,
        replica: {
          kind: watchedKind(engineNamed(this.#options.engine), this.commits),
          config: this.#engineConfig(env),
          directory: 'log',
          openLog: openWriteAheadLog,
          storeDirectory: 'state',
          openStore: async () => new OverlayStore(await openFileMap(env, 'state')),
          limits: scenario.replicaLimits,
        },
        defaults: {
          ...{ replication: scenario.replication, chunkBytes: scenario.chunkBytes },
          ...{ durability: 'disk', mode: 'strong', minReplicas: 1 },
        },
        timing: scenario.masterTiming,
        onFailure: fail,
      });
    });
  }

  #engineConfig(env: Env) {
    const { electionTimeoutMs, group } = this.scenario;
    const { elector, lease } = group;
    return {
      elector,
      ...(lease === undefined ? {} : { lease }),
      epoch: toEpoch(1),
      seed: env.random.id53(),
      crc32: env.crc32,
      timing: {
        electionTimeoutMinMs: electionTimeoutMs,
        electionTimeoutMaxMs: electionTimeoutMs * 2,
        heartbeatIntervalMs: electionTimeoutMs / 4,
      },
      limits: defaultLimits,
    };
  }

  async #bootChunkserver(member: Member<Chunkserver>): Promise<void> {
    const { windowWriters: windowWritersMax, copyStepBlocks, bulkBuffers: bulkBuffersMax } = this.scenario;
    const copyStepBytes = copyStepBlocks * blockBytes;
    await this.#boot(member, (env, fail) =>
      Chunkserver.start({
        env,
        server: toServerId(member.id),
        clusterId,
        address: addressOf(member.node),
        masters: this.masterAddresses,
        rack: 'default',
        pid: member.id,
        store: {
          directory: 'store',
          chunkBytes: this.scenario.chunkBytes,
          ...this.scenario.store,
          onFailure: fail,
        },
        limits: {
          ...{ windowWritersMax, copyStepBytes, recoveryStepBytes: copyStepBytes },
          ...{ bulkBuffersMax, bulkMutationsMax: bulkBuffersMax / 2 },
        },
        onRefused: fail,
      }),
    );
  }

  /** One life of a process; what it does after its end counts for nothing. */
  async #boot<Process>(
    member: Member<Process>,
    start: (env: Env, fail: (error: CairnError) => void) => Promise<Process>,
  ): Promise<void> {
    const { node } = member;
    const { env } = node;
    const isAlive = () => node.isUp && node.env === env;
    const fail = (error: CairnError) => {
      if (isAlive()) this.#options.onFailure(node, error);
    };
    member.process = undefined;
    try {
      const process = await start(env, fail);
      if (isAlive()) member.process = process;
    } catch (thrown) {
      fail(toCairnError(thrown));
    }
  }
}

/** The process of a member that is up. */
export function runningOf<Process>({ node, process }: Member<Process>): Process | undefined {
  return node.isUp ? process : undefined;
}

export function addressOf(node: SimNode): Address {
  return toAddress(`${node.name}:${port}`);
}
