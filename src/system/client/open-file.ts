/** A file that one client reads or writes: its inode, and what is known of its chunks. Handles, streams and whole-file calls share it. */
import type { InodeId } from '../../core/base/brand.ts';
import { type Attributes, type Grant, packetMaxBytes } from '../../core/protocol/types.ts';
import { ChunkGrants } from './chunk-grants.ts';
import { ChunkLocations } from './chunk-locations.ts';
import type { ClientCore } from './core.ts';
import { readPacket } from './read-packet.ts';
import { Stats, settledSize } from './stats.ts';

export class OpenFile {
  readonly core: ClientCore;
  readonly inode: InodeId;
  readonly chunkBytes: number;
  readonly grants: ChunkGrants;
  readonly locations: ChunkLocations;

  /** @param asOf when the attributes were asked for. */
  constructor(core: ClientCore, attributes: Attributes, asOf: number, grant?: Grant) {
    this.core = core;
    this.inode = attributes.inode;
    this.chunkBytes = attributes.chunkBytes;
    this.grants = new ChunkGrants(core, attributes.inode, attributes.chunkBytes);
    this.locations = new ChunkLocations(core, attributes.inode);
    this.locations.put(attributes, asOf);
    if (grant !== undefined) this.grants.put(0, grant);
  }

  async stat(): Promise<Stats> {
    const { attributes, size } = await this.settled(this.core.env.clock.now());
    return new Stats(attributes, size, true);
  }

  /** As of `since` or later. */
  async size(since: number): Promise<number> {
    return (await this.settled(since)).size;
  }

  /** It has other chunks now: those behind its end are gone. */
  cut(attributes: Attributes, asOf: number): void {
    this.locations.cut(attributes, asOf);
    this.grants.forgetFrom(attributes.chunkCount);
  }

  /** Where the packet that holds `position` ends: packets end at multiples of packetMaxBytes within their chunk. */
  packetEnd(position: number): number {
    const chunkStart = position - (position % this.chunkBytes);
    const within = position - chunkStart;
    const packetEnd = within - (within % packetMaxBytes) + packetMaxBytes;
    return chunkStart + Math.min(packetEnd, this.chunkBytes);
  }

  /**
   * The bytes from `position` on, at most up to the end of the packet.
   * @returns how many there are; fewer than asked for only at the end of the file.
   */
  readPacket(position: number, into: Uint8Array, since: number): Promise<number> {
    const offset = position % this.chunkBytes;
    const index = (position - offset) / this.chunkBytes;
    return readPacket(this.core, this.locations, { position, index, offset, into, since });
  }

  /** Attributes as of `since` or later, with the size that they lead to. */
  settled(since: number) {
    let from: number | undefined = since;
    return settledSize(this.core, () => {
      const asOf = from ?? this.core.env.clock.now(); // asked again, it is because the first did not lead to a size
      from = undefined;
      return this.locations.attributes(asOf);
    });
  }
}
