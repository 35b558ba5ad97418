/**
 * Sends an ordered mutation to every member of its set: to the store of this server, and to each secondary. All are given the same bytes,
 * place and serial, at once. Each answers exactly once, and holds the memory of the bytes until then.
 */
import type { ServerId } from '../../core/base/brand.ts';
import { toMutationSerial } from '../../core/base/brand.ts';
import type { CairnError } from '../../core/base/errors.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { ChunkMutation } from '../storage/chunk-store.ts';
import type { LeaseWorld } from './lease-world.ts';
import type { Mutation, Placement } from './mutation.ts';
import type { ReplicaLink, SecondaryWrite } from './replica-link.ts';
import { entriesOf } from './window-runs.ts';

/** How the members answer. */
export interface Answers {
  /** This server. */
  written(error: CairnError | undefined): void;
  /** A secondary. */
  applied(server: ServerId, error: CairnError | undefined): void;
}

/** @param links to all secondaries of the grant */
export function replicate(
  { writer, env }: Pick<LeaseWorld, 'writer' | 'env'>,
  grant: Grant,
  links: readonly ReplicaLink[],
  mutation: Mutation,
  placement: Placement,
  { written, applied }: Answers,
): void {
  mutation.missing += 1 + links.length;
  const { pooled } = mutation.request;
  const order = localOrder(grant, mutation, placement);
  pooled?.retain();
  writer.write({
    mutation: order,
    bytes: placement.bytes,
    isCut: placement.isCut,
    written: (error) => {
      pooled?.release();
      written(error);
    },
  });
  const write = secondaryWrite(env, order, mutation, placement, (server, error) => {
    pooled?.release();
    applied(server, error);
  });
  for (const link of links) {
    pooled?.retain();
    link.apply(write);
  }
}

function localOrder({ handle, version, durability }: Grant, mutation: Mutation, placement: Placement): ChunkMutation {
  const { body, blockChecksums } = mutation.request;
  return {
    handle,
    version,
    serial: toMutationSerial(mutation.serial),
    offset: placement.offset,
    parts: placement.parts,
    blockChecksums: placement.parts[0] === body ? blockChecksums : undefined,
    lengthBytes: placement.lengthBytes,
    window: entriesOf(placement.window),
    sync: durability === 'disk',
  };
}

function secondaryWrite(
  { clock }: LeaseWorld['env'],
  order: ChunkMutation,
  mutation: Mutation,
  placement: Placement,
  applied: SecondaryWrite['applied'],
): SecondaryWrite {
  const { pushed } = mutation.request;
  const isThere = pushed !== undefined && pushed.version === order.version && clock.now() < pushed.until;
  // Field by field: a copy of one object into another costs more than all else here.
  const { handle, version, serial, offset, lengthBytes, sync } = order;
  const { bytes, crc, window, isCut, bodyAt } = placement;
  return {
    order: { handle, version, serial, offset, bytes, crc, lengthBytes, window, isCut, sync },
    parts: placement.parts,
    pushed: isThere && bodyAt !== undefined && bytes > 0 ? { dataId: pushed.dataId, at: bodyAt } : undefined,
    applied,
  };
}
