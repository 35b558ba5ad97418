/** Consensus: the engine contract and the engines that stand behind it. */
export * from './engine.ts';
export type { PaxosMessage } from './paxos/messages.ts';
export { MultiPaxos } from './paxos/multi-paxos.ts';
export type { PaxosRecord } from './paxos/records.ts';
export { SingleAcceptor, SingleProposer } from './paxos/single-decree.ts';
export { majorityOf, type VoteOutcome } from './quorums.ts';
export type { RaftMessage } from './raft/messages.ts';
export { Raft } from './raft/raft.ts';
export type { RaftRecord } from './raft/records.ts';
