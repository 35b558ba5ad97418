/** Reads what each replica of a file holds, from each of the servers that readers may be sent to. */
import { tmpdir } from 'node:os';
import { type Address, toChunkIndex } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import { chunkCalls } from '../../../core/protocol/chunk-calls.ts';
import { masterCalls } from '../../../core/protocol/master-calls.ts';
import { type Location, packetMaxBytes } from '../../../core/protocol/types.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { LeaderChannel } from '../../../system/rpc/leader-channel.ts';
import { RpcConnection } from '../../../system/rpc/rpc-connection.ts';
import { until } from '../groups/group.ts';

const locationsMax = 64;
const deadlineMs = 60_000;

/** One chunk, as each of its servers has it. */
export interface ChunkReplicas {
  /** Where the chunk begins in its file. */
  readonly start: number;
  readonly contents: readonly Buffer[];
}

/**
 * A server that has just come back refuses reads until it has met the leading master, and one that is being replaced serves nothing any more: the
 * file is looked up, and all of them are asked, again.
 */
export async function readReplicas(masters: readonly Address[], path: string): Promise<ChunkReplicas[]> {
  const env = nodeEnv({ dir: tmpdir() });
  let refusal = '';
  const served = until(`all replicas of ${path} are served`, deadlineMs, async () => {
    const { chunkBytes, locations } = await locate(env, masters, path);
    try {
      return await Promise.all(locations.map((location) => readChunk(env, location, chunkBytes)));
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.retry === 'never') throw error;
      refusal = error.message;
      return undefined;
    }
  });
  return served.catch((thrown: unknown) => {
    throw refusal === '' ? thrown : new Error(`${path}: ${refusal}`, { cause: thrown });
  });
}

/** The chunkserver that orders the mutations of a file's last chunk. */
export async function primaryOf(masters: readonly Address[], path: string): Promise<number> {
  const { locations } = await locate(nodeEnv({ dir: tmpdir() }), masters, path);
  const primary = locations.at(-1)?.replicas[0];
  if (primary === undefined) throw new Error(`${path} has no chunk`);
  return primary.server;
}

async function locate(env: Env, masters: readonly Address[], path: string) {
  const channel = new LeaderChannel<typeof masterCalls, Record<never, never>>({
    env,
    masters,
    calls: masterCalls,
    deadlineMs,
  });
  try {
    const { inode, chunkBytes } = await channel.call('stat', { path });
    const asked = { inode, first: toChunkIndex(0), count: locationsMax };
    const { locations } = await channel.call('locate', asked);
    return { chunkBytes, locations };
  } finally {
    channel.close();
  }
}

async function readChunk(env: Env, { index, handle, replicas }: Location, chunkBytes: number): Promise<ChunkReplicas> {
  const contents = await Promise.all(replicas.map(({ address }) => readWhole(env, address, handle)));
  return { start: index * chunkBytes, contents };
}

async function readWhole(env: Env, address: Address, handle: Location['handle']): Promise<Buffer> {
  const rpc = RpcConnection.connect(env, address, chunkCalls, undefined);
  try {
    const pieces: Uint8Array[] = [];
    for (let offset = 0; ; ) {
      const { response, body } = await rpc.call('read', { handle, offset, length: packetMaxBytes });
      pieces.push(body);
      offset += body.length;
      if (body.length === 0 || offset >= response.chunkLength) return Buffer.concat(pieces);
    }
  } finally {
    rpc.close('read');
  }
}
