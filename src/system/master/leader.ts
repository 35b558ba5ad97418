/**
 * One time of leading: the soft state of a leader and the work it does unasked. Made when leadership is established, thrown away when it is
 * lost. What must survive is in the log; everything here is learned anew from heartbeats.
 */
import type { ChunkHandle, InodeId, ServerId } from '../../core/base/brand.ts';
import type { Codec } from '../../core/base/codec.ts';
import type { Env } from '../../core/base/env.ts';
import type { Result } from '../../core/base/result.ts';
import type { Replica } from '../rsm/replica.ts';
import { type ChunkServer, ChunkServers } from './chunk-servers.ts';
import { CutChunks } from './cut-chunks.ts';
import type { Departures } from './departures.ts';
import { FileSnapshots } from './file-snapshots.ts';
import { Garbage } from './garbage.ts';
import { Gate } from './gate.ts';
import { Holds } from './holds.ts';
import type { LeaderWorld } from './leader-world.ts';
import { Leases } from './leases.ts';
import { LengthReports } from './lengths.ts';
import { OpenChunks } from './open-chunks.ts';
import type { MasterTiming } from './options.ts';
import { Placement } from './placement.ts';
import { Recalls } from './recalls.ts';
import { stoppedLeading } from './refusal.ts';
import { Regrants } from './regrants.ts';
import type { RemovedLately } from './removed-lately.ts';
import { Replication } from './replication.ts';
import { Scan } from './scan.ts';
import { Sealing } from './sealing.ts';
import { type Command, decodeResult, encodeCommand } from './state/commands.ts';
import type { MetadataMachine } from './state/metadata-machine.ts';
import type { ChunkRecord } from './state/records.ts';
import type { Tables } from './state/tables.ts';
import { Trash } from './trash.ts';
import { Watches } from './watches.ts';

/** What this master has seen when it applied the log, whoever led. */
export interface KnownOfBefore {
  readonly removedLately: RemovedLately;
  readonly departures: Departures;
}

export type HostOfLeader = Pick<Replica, 'executeInternal' | 'barrier'>;

export class Leader implements LeaderWorld {
  readonly env: Env;
  readonly timing: MasterTiming;
  readonly servers: ChunkServers;
  readonly placement: Placement;
  readonly departures: Departures;
  readonly holds: Holds;
  readonly leases: Leases;
  readonly lengths: LengthReports;
  readonly garbage: Garbage;
  readonly cutChunks: CutChunks;
  readonly trash: Trash;
  readonly gate = new Gate();
  readonly sealing: Sealing;
  readonly recalls: Recalls;
  readonly fileSnapshots: FileSnapshots;
  readonly replication: Replication;
  readonly watches: Watches;
  readonly agreedTime: LeaderWorld['agreedTime'];
  readonly #replica: HostOfLeader;
  readonly #machine: MetadataMachine;
  readonly #openChunks: OpenChunks;
  readonly #scan: Scan;
  #stopped = false;

  constructor(
    env: Env,
    timing: MasterTiming,
    replica: HostOfLeader,
    machine: MetadataMachine,
    { removedLately, departures }: KnownOfBefore,
    agreedTime: LeaderWorld['agreedTime'],
  ) {
    this.agreedTime = agreedTime;
    this.env = env;
    this.timing = timing;
    this.#replica = replica;
    this.#machine = machine;
    this.servers = new ChunkServers(env, timing, {
      lapsed: (server) => this.#lapsed(server),
      died: (server) => this.#died(server),
      came: (server) => this.#came(server),
    });
    this.placement = new Placement(env, this.servers);
    this.departures = departures;
    this.holds = new Holds(this);
    const regrants = new Regrants(this, this.gate);
    this.leases = new Leases(this, this.gate, this.holds, regrants);
    this.lengths = new LengthReports(this);
    this.garbage = new Garbage(this);
    this.cutChunks = new CutChunks(this);
    this.trash = new Trash(this, () => this.garbage.reap());
    this.sealing = new Sealing(this, regrants);
    this.recalls = new Recalls(this, this.sealing);
    this.fileSnapshots = new FileSnapshots(this, this.holds, this.recalls, this.gate);
    this.replication = new Replication(this, this.holds, regrants, this.sealing);
    this.#openChunks = new OpenChunks(this, (handle) => this.sealing.seal(handle));
    this.#scan = new Scan(this, (handle) => this.replication.note(handle));
    for (const [id, record] of machine.tables.servers) this.servers.assume(id, record);
    for (const { handle, chunk } of removedLately.all()) this.cutChunks.removed(handle, chunk);
    this.watches = new Watches(this);
    machine.fileChanged = (id) => this.watches.changed(id);
    this.garbage.reap();
    this.trash.start();
    this.fileSnapshots.layOut();
    this.#openChunks.start();
    this.#scan.hurry();
  }

  /** A chunk has left the table. */
  chunkRemoved(handle: ChunkHandle, chunk: ChunkRecord): void {
    this.garbage.removed(handle, chunk);
    this.cutChunks.removed(handle, chunk);
    this.replication.removed(handle);
  }

  get tables(): Tables {
    return this.#machine.tables;
  }
  get isStopped(): boolean {
    return this.#stopped;
  }

  hasSession = (server: Parameters<ChunkServers['hasSession']>[0]): boolean => this.servers.hasSession(server);

  checkLeading(): void {
    if (this.#stopped) throw stoppedLeading();
  }

  async execute<T>(command: Command, result: Codec<T>): Promise<Result<T>> {
    this.checkLeading();
    const bytes = await this.#replica.executeInternal(encodeCommand(command));
    this.checkLeading();
    return decodeResult(result, bytes);
  }

  async barrier(): Promise<void> {
    this.checkLeading();
    await this.#replica.barrier();
    this.checkLeading();
  }

  /** Grants that are out promise what the file promised before: they are called back. Its copies may be too many, or too few. */
  async settingsChanged(file: InodeId): Promise<void> {
    await this.recalls.recall((inode) => inode === file, this.env.clock.now() + this.timing.recallMs);
    await this.replication.noteFile(file);
  }

  drainingChanged(id: ServerId): void {
    const server = this.servers.get(id);
    if (server === undefined) return;
    server.isDraining = this.tables.server(id)?.draining === true;
    this.env.events.emit('info', server.isDraining ? 'chunkserver_draining' : 'chunkserver_drain_undone', {
      server: id,
    });
    this.#scan.hurry();
  }

  /** A client has asked for this chunk. */
  used(handle: ChunkHandle): void {
    this.replication.heat.used(handle);
  }

  noteShort(handle: ChunkHandle): void {
    this.replication.note(handle);
  }

  #lapsed(server: ChunkServer): void {
    this.env.events.emit('warn', 'chunkserver_silent', { server: server.id, address: server.address });
  }

  #died(server: ChunkServer): void {
    const { id, address, chunks } = server;
    this.env.events.emit('error', 'chunkserver_dead', { server: id, address, chunks });
    this.#scan.hurry();
  }

  #came(server: ChunkServer): void {
    const { id, address, rack } = server;
    this.env.events.emit('info', 'chunkserver_up', { server: id, address, rack });
    this.replication.broken.serverCame(id);
    this.#scan.hurry();
  }

  stop(): void {
    this.#stopped = true;
    this.#machine.fileChanged = () => {};
    this.watches.stop();
    this.trash.stop();
    this.#openChunks.stop();
    this.#scan.stop();
    this.replication.stop();
    this.servers.stop();
  }
}
