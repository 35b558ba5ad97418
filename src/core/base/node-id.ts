/**
 * Names of the members of a consensus group. A member is an id that people configure (1 … 65535) and an incarnation, raised each time
 * that member has lost what it had promised: its disk was replaced, its log was damaged. A vote is the incarnation's, so a member that
 * has forgotten never votes twice under one name.
 */
import { assert } from './assert.ts';
import { type NodeId, toNodeId } from './brand.ts';

const idBound = 0x1_0000;
export const incarnationMax = 0xffff;

export function nodeIdOf(configuredId: number, incarnation: number): NodeId {
  assert(
    Number.isInteger(incarnation) && incarnation >= 0 && incarnation <= incarnationMax,
    'an incarnation is a u16',
    {
      incarnation,
    },
  );
  assert(Number.isInteger(configuredId) && configuredId >= 1 && configuredId < idBound, 'an id is 1 … 65535', {
    configuredId,
  });
  return toNodeId(configuredId + idBound * incarnation);
}

/** What people call the member, in its configuration and in `status`. */
export function configuredIdOf(node: NodeId): number {
  return node % idBound;
}

export function incarnationOf(node: NodeId): number {
  return Math.floor(node / idBound);
}
