/** Bugs of the catalogue that this design has no place for. */
import type { NotApplicable } from './mutant.ts';

export const notApplicable: readonly NotApplicable[] = [
  {
    bug: 'the term of a compacted entry is 0 and matches',
    seen: 'etcd-io/raft #31',
    why: 'the log answers "unknown" for it, which matches nothing, and what lies before a follower\'s commit index is never compared',
  },
  {
    bug: 'entries are written before the record of their term',
    seen: 'openraft io_ordering',
    why: 'the term of the last entry counts at a restart, and a node that had voted in that term had done so on its disk before',
  },
  {
    bug: 'an overtaken acknowledgement overwrites newer progress',
    seen: 'openraft #1960',
    why: 'the host reports writes in their order, and the answer to the next heartbeat says everything anew',
  },
  {
    bug: 'a higher vote seen in an answer is stored as if it had been given',
    seen: 'openraft b06cbb37',
    why: 'a vote stored too much can only be refused to others, so no two leaders come of it',
  },
  {
    bug: 'a leader whose disk has stalled leads on',
    seen: 'hashicorp/raft #503, #666; tarantool #9399',
    why: "a leader's own disk is not needed to commit; that it abdicates all the same is claimed by tests beside the electors",
  },
  {
    bug: 'a candidate of ballot leader election that hears no quorum campaigns all the same',
    seen: 'Ng, Haridi, Carbone 2023',
    why: 'the votes keep it safe, and in the simulator a healthy quorum wins against it in time; the partitions that it loses are a test of the elector',
  },
  {
    bug: 'a single change of members before an entry of the own term is committed',
    seen: 'Ongaro 2015; braft #182; AxonServer PR 120',
    why: 'changes of voters are joint: two that do not know of each other share a majority of the old voters',
  },
  {
    bug: 'automatic leaving of a joint configuration is proposed again and again',
    seen: 'etcd bd3c759',
    why: 'the leader enters it itself, once the joint one is committed; the mutant members-two-changes-at-once is what would be left of it',
  },
  {
    bug: 'a wiped voter comes back under its id and votes again',
    seen: 'atlasdb #1504, #1508',
    why: 'an engine cannot know; masters refuse it by the incarnation in their roster, which their tests claim',
  },
  {
    bug: 'a follower serves a read before it has applied enough; a snapshot is installed while entries are applied; a disk error is ignored',
    seen: 'canonical; NuRaft PR 407; "fsyncgate"',
    why: 'bugs of the host: the group simulator has a host of its own; the tests of src/system/rsm and whole clusters run the real one',
  },
  {
    bug: 'a damaged entry is reported to peers as never prepared',
    seen: 'TigerBeetle PR 2385',
    why: 'a node with a damaged log does not start its engine, and reports nothing',
  },
  {
    bug: 'acceptors prune or expire state before all know of it',
    seen: 'ScyllaDB #6149, #6154',
    why: 'only what is applied is compacted, and who asks for it gets the state; nothing expires',
  },
  {
    bug: 'a failed compare-and-set does not complete phase 2; a cached promise is sent again',
    seen: 'ScyllaDB #6299, CASSANDRA-12126; OmniPaxos e6ddc52',
    why: 'every command takes a slot of the log, successful or not; promises are made anew for each question',
  },
  {
    bug: 'a new epoch from an undecided stop-sign, entries behind it applied, its lease, its messages and indices mixed with the old',
    seen: 'OmniPaxos #151 and others',
    why: 'engines are not switched on a running cluster yet',
  },
];
