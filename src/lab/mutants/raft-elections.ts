/** Electors, transfers, reads and snapshots of Raft; what of it Multi-Paxos shares is tried there as well. */
import { type Mutant, raftGroups as trial } from './mutant.ts';

const raft = 'src/core/consensus/raft';
const elector = 'src/core/consensus/elector';

export const raftElections: readonly Mutant[] = [
  {
    id: 'elector-refusal-hides-term',
    bug: 'the refusal of a pre-vote does not tell the higher term: a node that is behind in terms is never elected',
    seen: 'etcd #8501, #8243; canonical/raft #279; openraft #1796',
    trial,
    edits: [
      {
        file: `${elector}/timeout.ts`,
        find: '    if (!m.granted && m.term > view.term) {\n      out.higherTerm(m.term);\n      return;\n    }\n',
        replace: '    if (!m.granted && m.term > view.term) return;\n',
      },
    ],
  },
  {
    id: 'elector-leader-protected-for-ever',
    bug: 'who has once heard a leader never votes another one in',
    seen: 'canonical/raft #279',
    trial,
    edits: [
      {
        file: `${elector}/timeout.ts`,
        find: 'return view.leader !== undefined && view.now - this.#heardAt < view.timing.electionTimeoutMinMs;',
        replace: 'return this.#heardAt > 0;',
      },
    ],
  },
  {
    id: 'elector-cut-off-leader-leads-on',
    bug: 'a leader that hears nobody leads on, and its followers that hear it elect nobody',
    seen: 'etcd CheckQuorum; Jensen et al. 2021',
    trial,
    edits: [
      {
        file: `${elector}/elector.ts`,
        find: 'if (view.now - heardAt >= view.timing.electionTimeoutMaxMs)',
        replace: 'if (view.now - heardAt < 0)',
      },
    ],
  },
  {
    id: 'elector-no-jitter',
    bug: 'all nodes lose patience at the same time',
    seen: 'hashicorp/raft #50',
    trial: { kind: 'tests', files: [`${elector}/timeout.test.ts`] },
    edits: [
      {
        file: `${elector}/timeout.ts`,
        find: 'this.#random = seededStream(seed, id);',
        replace: 'this.#random = seededStream(seed, id - id);',
      },
    ],
  },
  {
    id: 'elector-ballot-always-content',
    bug: 'a node is content with a leader that has lost its quorum',
    seen: 'Ng, Haridi, Carbone 2023, §5.2',
    trial,
    edits: [
      {
        file: `${elector}/ballot.ts`,
        find: '    return view.now - this.#contentAt < view.timing.electionTimeoutMinMs;\n',
        replace: '    return this.#contentAt > 0;\n',
      },
    ],
  },
  {
    id: 'transfer-seeks-while-leading',
    bug: 'a request to take over that comes late makes a sitting leader seek election',
    seen: 'openraft 511f33c7, #1805',
    trial,
    edits: [
      {
        file: `${raft}/transfer.ts`,
        find: 'if (term !== s.currentTerm || s.leader !== from || !mayLead(s.view)) return;',
        replace: 'if (term > s.currentTerm + 1000 || from === s.id || !mayLead(s.view)) return;',
      },
    ],
  },
  {
    id: 'transfer-never-ends',
    bug: 'a transfer whose target does not answer is never given up',
    seen: 'openraft #1747; etcd #12704',
    trial,
    edits: [
      {
        file: `${raft}/transfer.ts`,
        find: 'until: (s.now + s.config.timing.electionTimeoutMaxMs) as Millis',
        replace: 'until: (s.now + 1e9) as Millis',
      },
    ],
  },
  {
    id: 'transfer-asks-for-time-that-has-passed',
    bug: 'a transfer that is over is not forgotten, and the engine asks at once for a tick again and again',
    seen: 'canonical: a deadline that stays in the past',
    trial,
    edits: [
      {
        file: `${raft}/transfer.ts`,
        find: 'if (!isOthers && s.now < until) return;',
        replace: 'if (!isOthers && s.now < until + 1e9) return;',
      },
    ],
  },
  {
    id: 'read-before-own-commit',
    bug: 'a leader answers reads before it has committed an entry of its own term',
    seen: 'etcd #7331; redisraft #18; floyd #17',
    trial,
    edits: [
      {
        file: `${raft}/read-index.ts`,
        find: 'if (!leading.established || leading.waitingReads.length === 0 || leading.roundReads.length > 0) return;',
        replace: 'if (leading.waitingReads.length === 0 || leading.roundReads.length > 0) return;',
      },
      {
        file: `${raft}/invariants.ts`,
        find: "  assert(leading.established || leading.roundReads.length === 0, 'only an established leader confirms reads');\n",
        replace: '',
      },
    ],
  },
  {
    id: 'read-rounds-not-unique',
    bug: 'the answer to an earlier round confirms a later read',
    seen: 'etcd #20418; antfly PR 599',
    trial,
    edits: [{ file: `${raft}/read-index.ts`, find: '  leading.round += 1;\n', replace: '' }],
  },
  {
    id: 'read-joins-round-under-way',
    bug: 'a read that comes during a round is confirmed by it, at its index',
    seen: 'TiKV #7971',
    trial,
    edits: [
      {
        file: `${raft}/read-index.ts`,
        find: '    s.leading.waitingReads.push(id);\n',
        replace:
          '    if (s.leading.roundReads.length > 0) s.leading.roundReads = [...s.leading.roundReads, id];\n' +
          '    else s.leading.waitingReads.push(id);\n',
      },
    ],
  },
  {
    id: 'read-without-quorum',
    bug: 'a read is served before its round is answered',
    seen: 'd-engine #381; sofa-jraft #25',
    trial,
    edits: [{ file: `${raft}/read-index.ts`, find: '  if (answered < leading.round) return;\n', replace: '' }],
  },
  {
    id: 'read-quorum-too-small',
    bug: 'a read round needs one answer less than a majority',
    seen: 'async-raft d60f1e85',
    trial,
    edits: [
      {
        file: `${raft}/read-index.ts`,
        find: '  if (answered < leading.round) return;\n',
        replace:
          '  const others = [...leading.progress.values()].filter(({ ackedRound }) => ackedRound >= leading.round).length;\n' +
          '  if (answered < leading.round && others + 2 < majorityOf(membersOf(s).voters.length)) return;\n',
      },
      {
        file: `${raft}/read-index.ts`,
        find: 'import { quorumReached }',
        replace: 'import { majorityOf, quorumReached }',
      },
    ],
  },
  {
    id: 'snapshot-drops-newer-log',
    bug: 'a snapshot that is older than the log takes its place',
    seen: 'etcd #1763; camunda #6092',
    trial: { kind: 'tests', files: [`${raft}/snapshot.test.ts`] },
    edits: [
      {
        file: `${raft}/snapshot.ts`,
        find: 'if (s.log.matches(at.index, at.term)) {',
        replace: 'if (at.index <= s.commitIndex && s.log.matches(at.index, at.term)) {',
      },
    ],
  },
  {
    id: 'snapshot-keeps-conflicting-log',
    bug: 'entries behind a snapshot stay although they contradict it',
    seen: 'hashicorp/raft #697; openraft 674e78aa, #1892',
    trial,
    edits: [
      {
        file: `${raft}/snapshot.ts`,
        find: 'if (s.log.matches(at.index, at.term)) {',
        replace: 'if (s.log.termAt(at.index) !== undefined) {',
      },
    ],
  },
  {
    id: 'snapshot-loses-term',
    bug: 'a snapshot does not remember the term of its last entry',
    seen: 'RaftKeeper #4',
    trial,
    edits: [
      {
        file: `${raft}/snapshot.ts`,
        find: '    s.log.reset(at);\n',
        replace: '    s.log.reset({ ...at, term: 0 });\n',
      },
    ],
  },
  {
    id: 'snapshot-never-sent',
    bug: 'a leader that has compacted everything has nothing to send, and sends no snapshot',
    seen: 'openraft #1828; keystone #1329',
    trial,
    edits: [
      {
        file: `${raft}/replication.ts`,
        find: '  out.requestSnapshot(id);\n',
        replace: '  if (s.log.lastIndex > s.log.base.index) out.requestSnapshot(id);\n',
      },
    ],
  },
  {
    id: 'snapshot-failed-is-final',
    bug: 'a stream that failed is never begun again',
    seen: 'hashicorp/raft #212; camunda #14671; braft #423',
    trial,
    edits: [
      {
        file: `${raft}/snapshot.ts`,
        find: '  s.streaming.delete(to);\n',
        replace: '  if (delivered) s.streaming.delete(to);\n',
      },
    ],
  },
  {
    id: 'snapshot-compacted-entries-conflict',
    bug: 'entries that were compacted away are taken for a conflict',
    seen: 'openraft 71a290cd, 44381b0c',
    trial,
    edits: [
      {
        file: `${raft}/append-entries.ts`,
        find: 'if (index <= s.log.base.index || s.log.matches(index, term)) continue;',
        replace: 'if (s.log.matches(index, term)) continue;',
      },
    ],
  },
  {
    id: 'snapshot-ahead-of-log-forgotten',
    bug: 'a node that stopped between snapshot and log record starts with the log as it was',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${raft}/restore.ts`,
        find: 'const wasAhead = applied !== undefined && replay.reach(applied);',
        replace: 'const wasAhead = false;',
      },
    ],
  },
  {
    id: 'clone-shares-progress',
    bug: 'a copy of an engine shares state with the original',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: 'src/core/consensus/durability.ts',
        find: 'pending: d.pending.map(({ io, lastIndex }) => ({ io, lastIndex })),',
        replace: 'pending: [],',
      },
    ],
  },
  {
    id: 'lease-not-waited-for',
    bug: 'a new leader commits while the lease of the last one may still hold',
    seen: 'TiKV #964, #1127; nebula #2723; sofa-jraft PR 34',
    trial,
    edits: [
      { file: `${raft}/lease.ts`, find: '  return s.now >= s.othersLeaseUntil;\n', replace: '  return s.now >= 0;\n' },
    ],
  },
  {
    id: 'lease-without-drift',
    bug: 'a lease is waited for without a margin for clocks that run at different rates',
    seen: 'TiKV #1127; d-engine #390',
    trial,
    edits: [
      {
        file: `${raft}/lease.ts`,
        find: 'lease.durationMs * (1 + lease.driftMax)',
        replace: 'lease.durationMs * (1 - lease.driftMax)',
      },
    ],
  },
  {
    id: 'lease-survives-transfer',
    bug: 'a leader serves reads by its lease after it has asked another to lead',
    seen: 'openraft #1747; TiKV PR 1595; etcd #12704',
    trial,
    edits: [{ file: `${raft}/lease.ts`, find: '  leading.leaseGivenUp = true;\n', replace: '' }],
  },
  {
    id: 'lease-renewed-by-any-answer',
    bug: 'a lease counts from now on, whatever was committed when',
    seen: 'Davis, Demirbas, Deng 2025; canonical',
    trial,
    edits: [
      {
        file: `${raft}/lease.ts`,
        find: 'return lease !== undefined && !leading.leaseGivenUp && s.now - leading.leaseFrom < lease.durationMs;',
        replace: 'return lease !== undefined && !leading.leaseGivenUp && leading.leaseFrom > 0;',
      },
    ],
  },
];
