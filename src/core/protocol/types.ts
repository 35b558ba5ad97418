/** The nouns that messages share: attributes, chunk locations, grants, sessions. */
import {
  toAddress,
  toChunkHandle,
  toChunkIndex,
  toChunkVersion,
  toInodeId,
  toMutationSerial,
  toNodeId,
  toServerId,
} from '../base/brand.ts';
import { branded, f64, list, oneOf, optional, struct, type TypeOf, text, u16, u53, varint } from '../base/codec.ts';

/** Raised by one whenever a message changes in a way that an older peer would misread. */
export const protocolVersion = 9;

export const nameMaxBytes = 255;
export const pathMaxBytes = 4096;
export const replicasMax = 16;
/** One mutation, and one read, move at most this much. */
export const packetMaxBytes = 1024 * 1024;
/** Mutations up to this size go from the primary to each secondary in one message; larger ones flow down the chain. */
export const smallMutationMaxBytes = 64 * 1024;
export const chunkBytesDefault = 64 * 1024 * 1024;

export const addressCodec = branded(text, toAddress);
export const nodeId = branded(varint, toNodeId);
export const serverId = branded(u16, toServerId);
export const inodeId = branded(varint, toInodeId);
export const chunkHandle = branded(varint, toChunkHandle);
export const chunkIndex = branded(varint, toChunkIndex);
export const chunkVersion = branded(varint, toChunkVersion);
export const mutationSerial = branded(varint, toMutationSerial);

/** `disk`: acknowledged means fdatasync on every replica; `memory`: in the page cache of every replica. */
export const durability = oneOf(['memory', 'disk']);
export type Durability = TypeOf<typeof durability>;

/**
 * What a success means: `strong`, every in-sync replica holds the mutation at the same offset; `gfs`, as in the paper, failed attempts leave
 * inconsistent regions; `async`, the primary holds it and the others follow.
 */
export const mode = oneOf(['strong', 'gfs', 'async']);
export type Mode = TypeOf<typeof mode>;

/** What files have, and what directories hand on to what is made in them. `minReplicas`: a mutation succeeds on no fewer; 1 … replication. */
export const settingsFields = {
  replication: u16,
  durability,
  chunkBytes: varint,
  mode,
  minReplicas: u16,
} as const;
/** What a caller asks for; the rest stays, or comes from the directory. */
export const askedFields = {
  replication: optional(u16),
  durability: optional(durability),
  chunkBytes: optional(varint),
  mode: optional(mode),
  minReplicas: optional(u16),
} as const;

export type SettingsAsked = { readonly [Name in keyof typeof askedFields]: TypeOf<(typeof askedFields)[Name]> };
export const nothingAsked: SettingsAsked = {
  replication: undefined,
  durability: undefined,
  chunkBytes: undefined,
  mode: undefined,
  minReplicas: undefined,
};

export const fileKind = oneOf(['file', 'directory']);
export type FileKind = TypeOf<typeof fileKind>;

/** Where a chunkserver is. */
export const replica = struct({ server: serverId, address: addressCodec });
export type Replica = TypeOf<typeof replica>;

/**
 * The right to mutate a chunk under one version: every one of `replicas` must hold a mutation for it to succeed. The first is
 * the primary. Clients carry it in each mutation. `knownLength`: what the master knew of the chunk's length, as in a location.
 */
export const grant = struct({
  handle: chunkHandle,
  version: chunkVersion,
  replicas: list(replica, replicasMax),
  durability,
  mode,
  minReplicas: u16,
  knownLength: varint,
});
export type Grant = TypeOf<typeof grant>;

/** Where a chunk is, for readers. */
export const location = struct({
  index: chunkIndex,
  handle: chunkHandle,
  version: chunkVersion,
  replicas: list(replica, replicasMax),
  /** Known while no lease is open; otherwise ask the first replica (the primary). */
  sealedLength: optional(varint),
  /** What the master knows of its length: a chunk that nobody has was lost, unless this is 0. */
  knownLength: varint,
});
export type Location = TypeOf<typeof location>;

/** What `stat` tells. `size` holds if `tail` is undefined; else size = tail.index * chunkBytes + the length its replicas report. */
export const attributes = struct({
  inode: inodeId,
  kind: fileKind,
  size: varint,
  /** Entries of a directory; 1 for a file. */
  links: varint,
  /** Wall time, ms since 1970. */
  modifiedAt: f64,
  createdAt: f64,
  chunkCount: varint,
  ...settingsFields,
  tail: optional(location),
});
export type Attributes = TypeOf<typeof attributes>;

/**
 * Names a command across retries: the same (client, sequence) is carried out once and answered with the first result. `ackBelow`:
 * the client has the results of all sequences below it.
 */
export const commandId = struct({ client: u53, sequence: varint, ackBelow: varint });
export type CommandId = TypeOf<typeof commandId>;
