/** One chunkserver as a process. */
import { toServerId } from '../../core/base/brand.ts';
import { Chunkserver } from '../../system/chunkserver/chunkserver.ts';
import type { RoleContext, Running } from './run-role.ts';

export async function startChunkserver(context: RoleContext): Promise<Running> {
  const { env, settings, cluster, address, rack, fail } = context;
  const server = await Chunkserver.start({
    env,
    server: toServerId(context.id),
    clusterId: cluster,
    address,
    masters: context.masters.map((master) => master.address),
    rack,
    pid: process.pid,
    store: {
      directory: 'store',
      reserveBytes: settings.disk.reserve,
      onFailure: fail,
    },
    limits: { scrubEveryMs: settings.disk.scrub_every, scrubBytesPerSecond: settings.disk.scrub_rate },
    onRefused: fail,
    onDiskFailed: fail,
  });
  return { stop: () => server.stop() };
}
