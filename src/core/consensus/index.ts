/** Consensus: the engine contract and the engines that stand behind it. */
export * from './engine.ts';
export { majorityOf, type VoteOutcome } from './quorums.ts';
export type { RaftMessage } from './raft/messages.ts';
export { Raft } from './raft/raft.ts';
export type { RaftRecord } from './raft/records.ts';
