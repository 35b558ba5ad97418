/**
 * `cairn/consensus`: the engines, and a host that replicates a state machine of one's own on Node.
 *
 *     import { Raft, ReplicatedNode } from 'cairn/consensus';
 *     const node = await ReplicatedNode.start({ id: 1, members, dir: './node-1', engine: Raft, machine });
 *     const result = await node.execute(command);
 */
export type { CommandId } from '../../system/rsm/replica.ts';
export { type ApplyContext, hostKeyPrefix, type StateMachine } from '../../system/rsm/state-machine.ts';
export type { Key, OrderedStore, Pair, Reader } from '../../system/storage/ordered-store.ts';
export * from './engines.ts';
export { type Machine, type NodeOptions, ReplicatedNode } from './replicated-node.ts';
