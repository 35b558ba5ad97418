/** Looks at the chunkservers from a node of its own: what each of them holds of a chunk. */
import type { ChunkHandle } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { RpcConnection } from '../../system/rpc/rpc-connection.ts';
import { addressOf, type SimCluster } from './cluster.ts';

export interface HeldChunk {
  readonly lengthBytes: number;
  readonly bytes: Uint8Array;
}

const callTimeoutMs = 5_000;

export class Inspector {
  readonly #cluster: SimCluster;
  readonly #connections = new Map<number, RpcConnection<typeof chunkCalls>>();

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  /** Chunks that a server holds, whether it should or not. */
  async chunkCount(server: number): Promise<number> {
    return (await this.#to(server).call('describe', {}, { timeoutMs: callTimeoutMs })).response.chunks;
  }

  /** All of a chunk as a server reads it, its checksums verified; undefined if it is not there. */
  async chunk(server: number, handle: ChunkHandle): Promise<HeldChunk | undefined> {
    const rpc = this.#to(server);
    const { lengths } = (await rpc.call('lengths', { handles: [handle] }, { timeoutMs: callTimeoutMs })).response;
    const [length] = lengths;
    if (length === undefined) return undefined;
    const request = { handle, offset: 0, length: packetMaxBytes };
    const { response, body } = await rpc.call('read', request, { timeoutMs: callTimeoutMs });
    if (this.#node.env.crc32(body) !== response.crc) throw new CairnError('CHECKSUM_MISMATCH', `chunk ${handle}`);
    return { lengthBytes: length.bytes, bytes: body };
  }

  get #node() {
    return this.#cluster.world.node('inspector');
  }

  #to(server: number): RpcConnection<typeof chunkCalls> {
    const known = this.#connections.get(server);
    if (known !== undefined && !known.isClosed) return known;
    const { node } = this.#cluster.chunkservers.find(({ id }) => id === server)!;
    const rpc = RpcConnection.connect(this.#node.env, addressOf(node), chunkCalls, undefined);
    this.#connections.set(server, rpc);
    return rpc;
  }
}
