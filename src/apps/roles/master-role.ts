/** One master as a process: its engine, LMDB and the log below its directory. */
import { join } from 'node:path';
import { defaultLimits, defaultTiming, toEpoch } from '../../core/consensus/index.ts';
import { openLmdbMap } from '../../platform/node/lmdb.ts';
import { Master } from '../../system/master/master.ts';
import { OverlayStore } from '../../system/storage/overlay-store.ts';
import { openWriteAheadLog } from '../../system/storage/wal/open-write-ahead-log.ts';
import { chooseEngine } from './engines.ts';
import { heartbeatsPerSession, type RoleContext, type Running } from './run-role.ts';

export async function startMaster(context: RoleContext): Promise<Running> {
  const { env, settings, cluster, masters, fail } = context;
  const { kind, elector, lease } = chooseEngine(context.engine, settings);
  const heartbeatMs = settings.replication.heartbeat_interval;
  const master = await Master.start({
    env,
    id: context.id,
    address: context.address,
    clusterId: cluster,
    pid: process.pid,
    masters,
    replica: {
      kind,
      config: {
        epoch: toEpoch(1),
        seed: env.random.id53(),
        crc32: env.crc32,
        elector,
        ...(lease === undefined ? {} : { lease }),
        timing: {
          ...defaultTiming,
          electionTimeoutMinMs: settings.election_timeout,
          electionTimeoutMaxMs: settings.election_timeout * 2,
          heartbeatIntervalMs: Math.max(1, settings.election_timeout / 4),
        },
        limits: defaultLimits,
      },
      directory: 'log',
      openLog: openWriteAheadLog,
      storeDirectory: 'state',
      openStore: async () => new OverlayStore(await openLmdbMap(join(context.dir, 'state'))),
    },
    defaults: {
      replication: settings.replication.factor,
      chunkBytes: settings.chunk_size,
      durability: settings.durability,
      mode: settings.replication.mode,
      minReplicas: settings.replication.min_replicas,
    },
    timing: {
      ...{ heartbeatMs, sessionMs: heartbeatMs * heartbeatsPerSession, deadAfterMs: settings.dead_after },
      trashRetentionMs: settings.trash.retention,
      clusterBytesPerSecond: settings.copying.per_cluster,
      serverBytesPerSecond: settings.copying.per_server,
    },
    onFailure: fail,
  });
  return { stop: () => master.stop() };
}
