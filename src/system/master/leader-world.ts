/** What the parts of a leader share. */
import type { Address, ChunkHandle, InodeId, ServerId } from '../../core/base/brand.ts';
import type { Codec } from '../../core/base/codec.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import type { Result } from '../../core/base/result.ts';
import type { Grant, Replica as ReplicaAddress } from '../../core/protocol/types.ts';
import type { ChunkServer, ChunkServers, ServerConnection } from './chunk-servers.ts';
import type { Departures } from './departures.ts';
import type { MasterTiming } from './options.ts';
import type { Placement } from './placement.ts';
import type { Command, Granted } from './state/commands.ts';
import type { ChunkRecord, Inode, Settings } from './state/records.ts';
import { mustBe, type Tables } from './state/tables.ts';

/** What a server answers whose disk does not let it do what it was asked for: another one may. */
export const ofDisk: ReadonlySet<ErrorCode> = new Set(['DISK_CORRUPT', 'DISK_FULL', 'DISK_FAILED']);

export interface LeaderWorld {
  readonly env: Env;
  readonly timing: MasterTiming;
  readonly servers: ChunkServers;
  readonly placement: Placement;
  readonly departures: Departures;
  /** The applied state, at this moment: read it again after each await. */
  readonly tables: Tables;
  /** Commits a command of the leader itself. @throws CairnError NOT_LEADER, BUSY, UNKNOWN_OUTCOME */
  execute<T>(command: Command, result: Codec<T>): Promise<Result<T>>;
  /** @throws CairnError NOT_LEADER */
  barrier(): Promise<void>;
  /** @throws CairnError NOT_LEADER when this leader's time is over: to be called after each await */
  checkLeading(): void;
  readonly isStopped: boolean;
  /** A chunk has fewer replicas than it should have. */
  noteShort(handle: ChunkHandle): void;
  /** What time of day it is, as most masters say; undefined while too few answer. */
  agreedTime(): Promise<number | undefined>;
}

/** Whether something is about this file. */
export type Concerns = (inode: InodeId) => boolean;

export function addressOf(tables: Tables, server: ServerId): Address {
  return mustBe(tables.server(server), 'a server', server).address;
}

export function addressesOf(tables: Tables, servers: readonly ServerId[]): ReplicaAddress[] {
  return servers.map((server) => ({ server, address: addressOf(tables, server) }));
}

/** What a file promises of each mutation. */
export type Promises = Pick<Settings, 'durability' | 'mode' | 'minReplicas'>;

export function grantOf(tables: Tables, granted: Granted, { durability, mode, minReplicas }: Promises): Grant {
  const { handle, version, servers } = granted;
  const knownLength = tables.chunk(handle)?.length ?? 0;
  return { handle, version, replicas: addressesOf(tables, servers), durability, mode, minReplicas, knownLength };
}

/** @throws CairnError STALE_HANDLE */
export function chunkOf(tables: Tables, handle: ChunkHandle): ChunkRecord {
  const chunk = tables.chunk(handle);
  if (chunk === undefined) throw new CairnError('STALE_HANDLE', `chunk ${handle} was removed`);
  return chunk;
}

/** The file in the chunk's record. @throws CairnError STALE_HANDLE */
export function fileOf(tables: Tables, { inode }: Pick<ChunkRecord, 'inode'>): Inode {
  const file = tables.inode(inode);
  if (file === undefined) throw new CairnError('STALE_HANDLE', `inode ${inode} was removed`);
  return file;
}

/** Whoever takes the file for one of another chunk size looks for everything in wrong places. @throws CairnError STALE_HANDLE */
export function mustHaveChunksOf(chunkBytes: number, inode: InodeId, file: Pick<Inode, 'chunkBytes'>): void {
  if (file.chunkBytes === chunkBytes) return;
  throw new CairnError(
    'STALE_HANDLE',
    `inode ${inode} has chunks of ${file.chunkBytes} bytes by now, not of ${chunkBytes}; open the file by its path again`,
  );
}

/** Until something has happened, or the time is over. @throws CairnError NOT_LEADER */
export async function waitUntil(world: LeaderWorld, event: Promise<void>, until: number): Promise<void> {
  const { clock } = world.env;
  await new Promise<void>((resolve) => {
    const timer = clock.after(Math.max(0, until - clock.now()), resolve);
    void event.then(() => {
      timer.cancel();
      resolve();
    });
  });
  world.checkLeading();
}

/** @throws CairnError UNAVAILABLE */
export function ordersTo({ id, rpc }: ChunkServer): ServerConnection {
  if (rpc === undefined || rpc.isClosed)
    throw new CairnError('UNAVAILABLE', `chunkserver ${id} cannot be given orders just now`);
  return rpc;
}
