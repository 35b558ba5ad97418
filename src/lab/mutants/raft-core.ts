/** Raft: elections, replication, commitment. */
import { type Mutant, raftGroups as trial } from './mutant.ts';

const raft = 'src/core/consensus/raft';

export const raftCore: readonly Mutant[] = [
  {
    id: 'raft-commits-earlier-term',
    bug: 'an entry of an earlier term is committed by counting its copies',
    seen: 'logcabin #44; CCF #4472',
    trial,
    edits: [
      {
        file: `${raft}/commit.ts`,
        find: 'if (stored <= s.commitIndex || s.log.termAt(stored) !== s.currentTerm) return;',
        replace: 'if (stored <= s.commitIndex) return;',
      },
    ],
  },
  {
    id: 'raft-vote-before-durable',
    bug: 'a vote leaves before it is on the disk',
    seen: 'hashicorp/raft #661; TiKV #8381; PySyncObj PR 202',
    trial,
    edits: [
      {
        file: `${raft}/election.ts`,
        find: "out.sendAfter(s.durability.termIo, from, { kind: 'requestVoteResponse'",
        replace: "out.send(from, { kind: 'requestVoteResponse'",
      },
    ],
  },
  {
    id: 'raft-candidacy-before-durable',
    bug: 'a candidate asks for votes before its own vote is on the disk',
    seen: 'raft-java #57; akka-raft #56',
    trial,
    edits: [
      {
        file: `${raft}/election.ts`,
        find: "out.sendAfter(s.durability.termIo, to, { kind: 'requestVote'",
        replace: "out.send(to, { kind: 'requestVote'",
      },
    ],
  },
  {
    id: 'raft-step-down-clears-vote',
    bug: 'stepping down within a term forgets the vote of that term',
    seen: 'CCF PR 8094, #5891',
    trial,
    edits: [
      {
        file: `${raft}/role.ts`,
        find: '  const { leading } = s;\n  if (s.role',
        replace: '  else s.votedFor = undefined;\n  const { leading } = s;\n  if (s.role',
      },
    ],
  },
  {
    id: 'raft-leader-takes-higher-term',
    bug: 'a leader takes over a higher term and goes on leading in it',
    seen: 'hashicorp/raft #695; eliben/raft #13',
    trial,
    edits: [
      {
        file: `${raft}/acknowledgement.ts`,
        find: "if (m.term > s.currentTerm) becomeFollower(s, out, m.term, undefined, 'a follower knows a higher term');",
        replace: 'if (m.term > s.currentTerm) s.currentTerm = m.term;',
      },
    ],
  },
  {
    id: 'raft-match-from-refusal',
    bug: "a refusal's hint is taken for what the follower holds",
    seen: 'CCF #5325',
    trial,
    edits: [
      {
        file: `${raft}/acknowledgement.ts`,
        find: '  if (isNews(p, m)) {',
        replace: '  if (m.hintIndex > p.matchIndex) noteMatch(p, m.hintIndex);\n  if (isNews(p, m)) {',
      },
    ],
  },
  {
    id: 'raft-quorum-unsorted',
    bug: 'the index that a quorum has reached is read from a row that is not sorted',
    seen: 'openraft #1802',
    trial,
    edits: [
      {
        file: 'src/core/consensus/quorums.ts',
        find: 'at > 0 && scratch[at - 1]! < value;',
        replace: 'at > 1 && scratch[at - 1]! < value;',
      },
    ],
  },
  {
    id: 'raft-stale-acknowledgement',
    bug: 'an acknowledgement of an earlier term counts, though the log was cut since',
    seen: 'openraft cecb5de8; canonical',
    trial,
    edits: [
      {
        file: `${raft}/acknowledgement.ts`,
        find: 'return m.term === s.currentTerm ? s.leading : undefined;',
        replace: 'return s.leading;',
      },
    ],
  },
  {
    id: 'raft-truncates-without-conflict',
    bug: 'a follower cuts its log at any message, overtaken ones too',
    seen: 'async-raft 9540c904; canonical',
    trial,
    edits: [
      {
        file: `${raft}/append-entries.ts`,
        find: 'if (index <= s.log.base.index || s.log.matches(index, term)) continue;',
        replace: 'if (index <= s.commitIndex) continue;',
      },
    ],
  },
  {
    id: 'raft-longer-log-wins',
    bug: 'the longer log wins a vote, whatever its last term',
    seen: 'openraft a48a3282; dotNext PR 298',
    trial,
    edits: [
      {
        file: `${raft}/election.ts`,
        find: 'return m.lastLogTerm > lastTerm || (m.lastLogTerm === lastTerm && m.lastLogIndex >= lastIndex);',
        replace: 'return m.lastLogIndex > lastIndex || (m.lastLogIndex === lastIndex && m.lastLogTerm >= lastTerm);',
      },
      {
        file: 'src/core/consensus/elector/elector.ts',
        find: 'return standing[0] > other[0] || (standing[0] === other[0] && standing[1] >= other[1]);',
        replace: 'return standing[1] > other[1] || (standing[1] === other[1] && standing[0] >= other[0]);',
      },
    ],
  },
  {
    id: 'raft-any-log-wins',
    bug: 'a vote is given without a look at the logs',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${raft}/election.ts`,
        find: '&& !disturbs && free && isUpToDate(s, m);',
        replace: '&& !disturbs && free;',
      },
    ],
  },
  {
    id: 'raft-log-needs-both',
    bug: 'a log must be ahead in term and in length to win a vote: some groups elect nobody any more',
    seen: 'openraft a48a3282; OmniPaxos b67716a',
    trial,
    edits: [
      {
        file: `${raft}/election.ts`,
        find: 'return m.lastLogTerm > lastTerm || (m.lastLogTerm === lastTerm && m.lastLogIndex >= lastIndex);',
        replace: 'return m.lastLogTerm >= lastTerm && m.lastLogIndex >= lastIndex;',
      },
      {
        file: 'src/core/consensus/elector/elector.ts',
        find: 'return standing[0] > other[0] || (standing[0] === other[0] && standing[1] >= other[1]);',
        replace: 'return standing[0] >= other[0] && standing[1] >= other[1];',
      },
    ],
  },
  {
    id: 'raft-commits-beyond-new',
    bug: 'a follower commits up to the end of its own log, not of what the leader has just confirmed',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${raft}/append-entries.ts`,
        find: 'const committed = Math.min(m.leaderCommit, lastNew) as LogIndex;',
        replace: 'const committed = Math.min(m.leaderCommit, s.log.lastIndex) as LogIndex;',
      },
    ],
  },
  {
    id: 'raft-message-skips-entry',
    bug: 'entries that are not contiguous are packed into one message when it is full',
    seen: 'logcabin #160',
    trial,
    edits: [
      {
        file: `${raft}/replication.ts`,
        find: '  const entries = s.log.slice(first, last);',
        replace:
          '  const whole = s.log.slice(first, last);\n' +
          '  const entries = last < s.log.lastIndex && whole.length > 2 ? whole.filter((_, i) => i !== 1) : whole;',
      },
    ],
  },
  {
    id: 'raft-empty-log-takes-gap',
    bug: 'a follower with an empty log agrees with any message',
    seen: 'oxia PR 1239',
    trial,
    edits: [
      {
        file: `${raft}/append-entries.ts`,
        find: 'return m.prevLogIndex <= s.commitIndex || s.log.matches',
        replace: 'return m.prevLogIndex <= s.commitIndex || s.log.lastIndex === 0 || s.log.matches',
      },
    ],
  },
  {
    id: 'raft-half-is-a-majority',
    bug: 'half of an even number of voters counts as a majority',
    seen: 'hashicorp/raft 163a55f, 04965cc',
    trial,
    edits: [
      {
        file: 'src/core/consensus/quorums.ts',
        find: 'return Math.floor(count / 2) + 1;',
        replace: 'return Math.ceil(count / 2);',
      },
    ],
  },
  {
    id: 'raft-leader-counts-unsynced',
    bug: 'a leader counts its own copy before its disk has it',
    seen: 'openraft a9f696a9',
    trial,
    edits: [
      {
        file: `${raft}/commit.ts`,
        find: 'voter === s.id ? s.durability.durableIndex :',
        replace: 'voter === s.id ? s.log.lastIndex :',
      },
    ],
  },
  {
    id: 'raft-follower-acknowledges-unsynced',
    bug: 'a follower acknowledges entries before its disk has them',
    seen: 'openraft ee460f37; canonical',
    trial,
    edits: [
      {
        file: `${raft}/append-entries.ts`,
        find: "out.sendAfter(gate, from, { kind: 'appendEntriesAccepted'",
        replace: "out.send(from, { kind: 'appendEntriesAccepted'",
      },
    ],
  },
  {
    id: 'raft-heartbeat-acknowledges-unsynced',
    bug: 'the answer to a heartbeat acknowledges entries that are still being written',
    seen: 'openraft io_ordering',
    trial,
    edits: [
      {
        file: `${raft}/append-entries.ts`,
        find: 'const matchIndex = Math.min(acceptedIndex, d.durableIndex) as LogIndex;',
        replace: 'const matchIndex = acceptedIndex;',
      },
    ],
  },
  {
    id: 'raft-truncated-write-counts',
    bug: 'a write that was cut away meanwhile makes its successor count as durable (ABA)',
    seen: 'etcd newStorageAppendRespMsg',
    trial,
    edits: [
      {
        file: 'src/core/consensus/durability.ts',
        find: '  for (const write of d.pending) if (write.lastIndex > last) write.lastIndex = last;\n',
        replace: '',
      },
    ],
  },
  {
    id: 'raft-commit-skips-page',
    bug: 'only a page of what is committed is handed out, and the rest is skipped',
    seen: 'etcd #10063, 8ecce32',
    trial,
    edits: [
      {
        file: `${raft}/commit.ts`,
        find: 'out.commit(s.log.slice(s.commitIndex + 1, index));',
        replace: 'out.commit(s.log.slice(s.commitIndex + 1, index).slice(0, 4));',
      },
    ],
  },
  {
    id: 'raft-uncommitted-bytes-leak',
    bug: 'what was committed still counts as uncommitted: by and by a leader refuses everything',
    seen: 'etcd a370b6f',
    trial,
    edits: [
      {
        file: `${raft}/commit.ts`,
        find: 'leading.uncommittedBytes -= entryBytes(s.log.at(i)!);',
        replace: 'if (i % 2 === 0) leading.uncommittedBytes -= entryBytes(s.log.at(i)!);',
      },
    ],
  },
  {
    id: 'raft-window-leaks',
    bug: 'what was acknowledged still fills the window to a follower',
    seen: 'etcd-io/raft #54',
    trial,
    edits: [
      {
        file: `${raft}/progress.ts`,
        find: '  p.window.bytes -= bytes;\n',
        replace: '',
      },
    ],
  },
  {
    id: 'raft-duplicate-vote-counts',
    bug: 'messages are counted, not voters: a vote that arrives twice counts twice',
    seen: 'akka-raft #47; canonical',
    trial,
    edits: [
      {
        file: `${raft}/election.ts`,
        find: '  s.votes.set(from, m.voteGranted);\n',
        replace:
          '  const other = s.votes.has(from) ? membersOf(s).voters.find((voter) => !s.votes.has(voter)) : undefined;\n' +
          '  s.votes.set(other ?? from, m.voteGranted);\n',
      },
    ],
  },
  {
    id: 'raft-lost-message-stays-lost',
    bug: 'after a message is lost the pipeline to that follower never goes on',
    seen: 'hashicorp/raft #612',
    trial,
    edits: [
      {
        file: `${raft}/acknowledgement.ts`,
        find: "    case 'replicate':\n      return m.prevLogIndex > p.matchIndex;",
        replace: "    case 'replicate':\n      return false;",
      },
    ],
  },
  {
    id: 'raft-vote-lost-on-restart',
    bug: 'a restart forgets the vote',
    seen: 'CCF #8091; canonical',
    trial,
    edits: [
      {
        file: `${raft}/restore.ts`,
        find: 'votedFor: log.lastTerm > replay.currentTerm ? undefined : replay.votedFor,',
        replace: 'votedFor: undefined,',
      },
    ],
  },
  {
    id: 'raft-term-lost-in-baseline',
    bug: 'compaction leaves the term and the vote behind in a segment that goes',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${raft}/raft.ts`,
        find: "      { kind: 'hardState', currentTerm, votedFor },\n",
        replace: "      { kind: 'hardState', currentTerm: toTerm(0), votedFor: undefined },\n",
      },
      {
        file: `${raft}/raft.ts`,
        find: '  baseline(): readonly RaftRecord[] {\n    const { currentTerm, votedFor, log }',
        replace: '  baseline(): readonly RaftRecord[] {\n    const { log }',
      },
      {
        file: `${raft}/raft.ts`,
        find: 'import { RaftStatus }',
        replace: "import { toTerm } from './term.ts';\nimport { RaftStatus }",
      },
    ],
  },
  {
    id: 'raft-old-leader-followed',
    bug: 'entries of a leader of an earlier term are taken',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${raft}/append-entries.ts`,
        find: '  if (m.term < s.currentTerm) {\n    refuseStaleTerm(s, out, from);\n    return;\n  }\n',
        replace: '',
      },
      {
        file: `${raft}/role.ts`,
        find: "  assert(term >= s.currentTerm, 'currentTerm never falls', { term, currentTerm: s.currentTerm });\n",
        replace: '',
      },
      { file: `${raft}/role.ts`, find: "import { assert } from '../../base/assert.ts';\n", replace: '' },
    ],
  },
];
