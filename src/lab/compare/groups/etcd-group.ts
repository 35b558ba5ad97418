/** etcd, where it is installed: three members at its own defaults of durability (fdatasync before a write is acknowledged). */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { cpuMs } from '../process/cpu.ts';
import type { OwnedProcess } from '../process/owned-process.ts';
import { rotated } from './cairn-group.ts';
import type { Costs, Group, GroupMember, GroupOptions, TargetOptions } from './group.ts';
import { portsEach } from './group.ts';
import { leaderAmong, PeerProcess } from './peer-process.ts';

const leaderDeadlineMs = 30_000;
const connectionsMax = 16;

/** Its version, or undefined where it is not installed. */
export function etcdVersion(): string | undefined {
  try {
    const said = execFileSync('etcd', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /etcd Version: (\S+)/.exec(said)?.[1];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export class EtcdGroup implements Group {
  readonly name = 'etcd';
  readonly members: readonly EtcdMember[];

  private constructor(members: readonly EtcdMember[]) {
    this.members = members;
  }

  static async start(options: GroupOptions): Promise<EtcdGroup> {
    const addresses = options.places.map(({ host }, i) => ({
      client: `${host}:${options.ports[i * portsEach]}`,
      peer: `${host}:${options.ports[i * portsEach + 1]}`,
    }));
    const members = addresses.map((_, i) => new EtcdMember(options, addresses, i + 1));
    await Promise.all(members.map((member) => member.start()));
    return new EtcdGroup(members);
  }

  leader(): Promise<number> {
    return leaderAmong('etcd', leaderDeadlineMs, this.members);
  }

  target(first: number, { clients, attemptMs }: TargetOptions) {
    const addresses = this.members.map(({ address }) => address);
    const connections = Math.min(clients, connectionsMax);
    return { kind: 'etcd', addresses: rotated(addresses, first), connections, attemptMs } as const;
  }

  async costs(): Promise<Costs> {
    const all = await Promise.all(this.members.map((member) => member.metrics()));
    const sum = (name: string) => all.reduce((total, metrics) => total + sumOf(metrics, name), 0);
    return {
      cpuMs: this.members.reduce((total, { process }) => total + cpuMs(process.pid), 0),
      flushes:
        sum('etcd_disk_wal_fsync_duration_seconds_count') + sum('etcd_disk_backend_commit_duration_seconds_count'),
      messages: undefined,
      messageBytes: sum('etcd_network_peer_sent_bytes_total'),
      entries: Math.max(...all.map((metrics) => sumOf(metrics, 'etcd_server_proposals_committed_total'))),
    };
  }
}

export class EtcdMember implements GroupMember {
  readonly id: number;
  readonly address: string;
  readonly #peer: PeerProcess;

  constructor(options: GroupOptions, addresses: readonly { client: string; peer: string }[], id: number) {
    const { client, peer } = addresses[id - 1]!;
    this.id = id;
    this.address = client;
    const args = [
      ...['--name', `m${id}`, '--data-dir', join(options.directory, `etcd-${id}`), '--log-level', 'warn'],
      ...['--listen-client-urls', `http://${client}`, '--advertise-client-urls', `http://${client}`],
      ...['--listen-peer-urls', `http://${peer}`, '--initial-advertise-peer-urls', `http://${peer}`],
      ...['--initial-cluster', addresses.map((of, i) => `m${i + 1}=http://${of.peer}`).join(',')],
      ...[
        '--heartbeat-interval',
        String(options.heartbeatMs),
        '--election-timeout',
        String(options.electionTimeoutMs.min),
      ],
      ...['--logger', 'zap', '--log-outputs', 'stderr', '--auto-compaction-retention', '0'],
    ];
    this.#peer = new PeerProcess(options, id, { title: 'etcd', file: 'etcd', command: 'etcd', args });
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
    try {
      const metrics = await this.metrics();
      return sumOf(metrics, 'etcd_server_is_leader') === 1 && sumOf(metrics, 'etcd_server_proposals_applied_total') > 0;
    } catch (error) {
      if (error instanceof TypeError) return false; // it does not listen yet
      throw error;
    }
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://${this.address}/metrics`)).text();
  }
}

/** The sum over all labels of one metric of a Prometheus text. */
function sumOf(metrics: string, name: string): number {
  let sum = 0;
  for (const [, value] of metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))) sum += Number(value);
  return sum;
}
