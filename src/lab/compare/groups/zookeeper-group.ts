/** ZooKeeper, where it is installed: three members at its own defaults of durability (its log is forced before a write is acknowledged). */
import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { cpuMs } from '../process/cpu.ts';
import type { OwnedProcess } from '../process/owned-process.ts';
import { rotated } from './cairn-group.ts';
import {
  type Costs,
  type Group,
  type GroupMember,
  type GroupOptions,
  portsEach,
  type TargetOptions,
  until,
} from './group.ts';
import { leaderAmong, PeerProcess } from './peer-process.ts';

/** Where Debian's package puts it; its manifest names the libraries that it needs. */
const jar = '/usr/share/java/zookeeper.jar';
const mainClass = 'org.apache.zookeeper.server.quorum.QuorumPeerMain';
/** As its own start script. */
const heap = '-Xmx1000m';
const leaderDeadlineMs = 60_000;
const connectionsMax = 16;
const answerWithinMs = 2000;
const figuresDeadlineMs = 30_000;
/** Its sample configuration's, which Debian installs: followers are given up after `syncTicks` ticks. */
export const tickMs = 2000;
export const syncTicks = 5;
const initTicks = 10;

/** Its version, or undefined where it is not installed. */
export function zookeeperVersion(): string | undefined {
  if (!existsSync(jar) || !isOnPath('java')) return undefined;
  return /zookeeper-([\d.]+)\.jar$/.exec(realpathSync(jar))?.[1] ?? 'unknown';
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

export class ZooKeeperGroup implements Group {
  readonly name = 'zookeeper';
  readonly members: readonly ZooKeeperMember[];

  private constructor(members: readonly ZooKeeperMember[]) {
    this.members = members;
  }

  static async start(options: GroupOptions): Promise<ZooKeeperGroup> {
    const servers = options.places.map(({ host }, i) => {
      const [, peer, election] = options.ports.slice(i * portsEach) as [number, number, number];
      return `server.${i + 1}=${host}:${peer}:${election}`;
    });
    const members = options.places.map((_, i) => new ZooKeeperMember(options, servers, i + 1));
    await Promise.all(members.map((member) => member.start()));
    return new ZooKeeperGroup(members);
  }

  leader(): Promise<number> {
    return leaderAmong('ZooKeeper', leaderDeadlineMs, this.members);
  }

  target(first: number, { clients, attemptMs }: TargetOptions) {
    const addresses = this.members.map(({ address }) => address);
    const connections = Math.min(clients, connectionsMax);
    return { kind: 'zookeeper', addresses: rotated(addresses, first), connections, attemptMs } as const;
  }

  async costs(): Promise<Costs> {
    const all = await Promise.all(this.members.map((member) => member.figures()));
    return {
      cpuMs: this.members.reduce((total, { process }) => total + cpuMs(process.pid), 0),
      flushes: all.reduce((total, metrics) => total + figureOf(metrics, 'zk_cnt_fsynctime'), 0),
      messages: undefined,
      messageBytes: undefined,
      entries: undefined,
    };
  }
}

class ZooKeeperMember implements GroupMember {
  readonly id: number;
  readonly address: string;
  readonly #peer: PeerProcess;
  readonly #directory: string;
  readonly #port: number;
  readonly #host: string;

  constructor(options: GroupOptions, servers: readonly string[], id: number) {
    this.id = id;
    this.#host = options.places[id - 1]!.host;
    this.#port = options.ports[(id - 1) * portsEach]!;
    this.address = `${this.#host}:${this.#port}`;
    this.#directory = join(options.directory, `zookeeper-${id}`);
    mkdirSync(this.#directory);
    writeFileSync(join(this.#directory, 'myid'), `${id}\n`);
    const settings = {
      tickTime: tickMs,
      initLimit: initTicks,
      syncLimit: syncTicks,
      dataDir: this.#directory,
      clientPort: this.#port,
      clientPortAddress: this.#host,
      maxClientCnxns: 0,
      'admin.enableServer': false,
      '4lw.commands.whitelist': 'srvr,mntr',
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    writeFileSync(join(this.#directory, 'zoo.cfg'), `${[...lines, ...servers].join('\n')}\n`);
    const args = [heap, '-cp', jar, mainClass, join(this.#directory, 'zoo.cfg')];
    this.#peer = new PeerProcess(options, id, { title: 'ZooKeeper', file: 'zookeeper', command: 'java', args });
  }

  get process(): OwnedProcess {
    return this.#peer.process;
  }

  start(): Promise<void> {
    return this.#peer.start();
  }

  restart(): Promise<void> {
    return this.#peer.restart();
  }

  async leads(): Promise<boolean> {
    this.#peer.mustRun();
    return (await this.#say('srvr'))?.includes('Mode: leader') ?? false;
  }

  figures(): Promise<string> {
    return until(`ZooKeeper ${this.id} tells its figures`, figuresDeadlineMs, () => this.#say('mntr'));
  }

  /** One of its four-letter words. Undefined while it does not listen, or does not answer. */
  #say(word: string): Promise<string | undefined> {
    return new Promise((resolve) => {
      const pieces: Buffer[] = [];
      const socket = connect({ host: this.#host, port: this.#port, timeout: answerWithinMs }, () => socket.write(word));
      socket.on('data', (piece) => pieces.push(piece));
      socket.on('end', () => resolve(Buffer.concat(pieces).toString('utf8')));
      socket.on('timeout', () => socket.destroy());
      socket.on('error', () => {}); // it is closed then
      socket.on('close', () => resolve(undefined));
    });
  }
}

/** 0 where it is not told. */
function figureOf(metrics: string, name: string): number {
  return Number(new RegExp(`^${name}\\s+(\\S+)$`, 'm').exec(metrics)?.[1] ?? 0);
}
