/** How masters tell each other who they are: the same on first meeting, on each connection, and when one asks to join. */
import {
  decode,
  encode,
  keptBlob,
  list,
  oneOf,
  optional,
  struct,
  type TypeOf,
  text,
  u16,
  u53,
  varint,
} from '../base/codec.ts';
import { CairnError } from '../base/errors.ts';
import { addressCodec, nodeId, protocolVersion } from './types.ts';

const mastersMax = 64;

/**
 * Every version reads the first two fields, and only those of a stranger; `rest` is a `Introduction`'s, for those who speak the same version
 * and belong to the same cluster.
 */
export const introductionFrame = struct({ protocolVersion: u16, clusterId: text, rest: keptBlob });
export type IntroductionFrame = TypeOf<typeof introductionFrame>;

const directoryOfMaster = struct({ id: u16, directory: u53 });
export type DirectoryOfMaster = TypeOf<typeof directoryOfMaster>;

const introductionRest = struct({
  /** Configured. */
  id: u16,
  /** Its name in the group; undefined: it has promised nothing under this directory. */
  node: optional(nodeId),
  /** Drawn when its data directory was first used. */
  directory: u53,
  /** Drawn at each start of its process. */
  instance: u53,
  /** Where it listens. */
  address: addressCodec,
  /** Engine, elector, lease, the rules of commands: what all members must agree on. */
  terms: text,
  /** The masters in its configuration, ascending: what a new group is founded with. */
  configured: list(u16, mastersMax),
  /** The directories of those with whom it founded the group; empty if it did not. */
  founders: list(directoryOfMaster, mastersMax),
  /** Whom it takes the other side for; undefined: it does not know. */
  to: optional(nodeId),
});
export type Introduction = TypeOf<typeof introductionRest> & { readonly clusterId: string };

export function encodeIntroduction({ clusterId, ...rest }: Introduction): IntroductionFrame {
  return { protocolVersion, clusterId, rest: encode(introductionRest, rest) };
}

/** @throws CairnError PROTOCOL, WRONG_CLUSTER */
export function decodeIntroduction(frame: IntroductionFrame, clusterId: string): Introduction {
  if (frame.protocolVersion !== protocolVersion)
    throw new CairnError(
      'PROTOCOL',
      `one master speaks protocol ${frame.protocolVersion}, another ${protocolVersion}; run the same version on all masters`,
    );
  if (frame.clusterId !== clusterId)
    throw new CairnError(
      'WRONG_CLUSTER',
      `a master of cluster ${frame.clusterId} met one of ${clusterId}; check the masters' addresses and the cluster's name`,
    );
  return { clusterId, ...decode(introductionRest, frame.rest) };
}

/**
 * What a master is in the group. `joining`: it belongs to it by decision, the group's configuration does not have it yet; `nonVoter`: it is
 * catching up; `leaving`: it was removed by decision, the configuration still has it.
 */
export const standing = oneOf(['joining', 'nonVoter', 'voter', 'leaving']);
export type Standing = TypeOf<typeof standing>;

/** How far the addition of a master is. */
export const additionState = struct({ id: u16, node: nodeId, standing, lag: optional(varint) });
export type AdditionState = TypeOf<typeof additionState>;
