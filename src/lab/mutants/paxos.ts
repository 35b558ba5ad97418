/** Multi-Paxos: promises, votes, phase 1 over many slots, the learner, configurations, leases. */
import type { Edit, Mutant } from './mutant.ts';

const trial = { kind: 'groups', engine: 'paxos' } as const;
const quorums = 'src/core/consensus/quorums.ts';

interface Short {
  readonly id: string;
  readonly bug: string;
  readonly seen: string;
  /** Of the engine's folder, or a whole path: the file, what is in it, what comes in its place. */
  readonly edits: readonly (readonly [file: string, find: string, replace: string])[];
  /** In place of groups: a test of the engine. */
  readonly test?: string;
}

const table: readonly Short[] = [
  {
    id: 'paxos-promise-before-durable',
    bug: 'a promise leaves before it is on the disk',
    seen: 'atlasdb #1508; PhxPaxos SyncInterval',
    edits: [
      ['acceptor.ts', 'out.sendAfter(durability.lastIo, ballot.node, promise);', 'out.send(ballot.node, promise);'],
    ],
  },
  {
    id: 'paxos-promise-lost-on-restart',
    bug: 'a restart forgets the promise',
    seen: 'atlasdb #1508; canonical',
    edits: [
      ['restore.ts', '    promised: replay.promised,\n', '    promised: noBallot,\n'],
      ['restore.ts', 'roundSeen: replay.promised.round,', 'roundSeen: noBallot.round,'],
    ],
  },
  {
    id: 'paxos-vote-before-durable',
    bug: 'a vote is acknowledged before it is on the disk',
    seen: 'canonical',
    edits: [
      ['acceptor.ts', 'out.sendAfter(s.durability.lastIo, ballot.node, accepted);', 'out.send(ballot.node, accepted);'],
    ],
  },
  {
    id: 'paxos-heartbeat-acknowledges-unsynced',
    bug: 'the answer to a heartbeat acknowledges votes that are still being written',
    seen: 'canonical',
    edits: [['learner.ts', 'const match = Math.min(f.heldTo, d.durableIndex) as LogIndex;', 'const match = f.heldTo;']],
  },
  {
    id: 'paxos-accept-below-promise',
    bug: 'an acceptor votes in a ballot below the one that it has promised',
    seen: 'canonical',
    edits: [
      [
        'acceptor.ts',
        'if (compareBallots(m.ballot, s.promised) < 0) {',
        'if (compareBallots(m.ballot, s.promised) < 0 && m.entries.length === 0) {',
      ],
      [
        'acceptor.ts',
        'if (!sameBallot(m.ballot, s.promised)) raisePromise',
        'if (compareBallots(m.ballot, s.promised) > 0) raisePromise',
      ],
    ],
  },
  {
    id: 'paxos-first-vote-adopted',
    bug: 'of several votes in a slot the first that is reported is adopted, not that of the highest ballot',
    seen: 'OmniPaxos 974b7ff',
    edits: [
      [
        'phase-one.ts',
        'if (known !== undefined && compareBallots(known.ballot, ballot) >= 0) return;',
        'if (known !== undefined) return;',
      ],
    ],
  },
  {
    id: 'paxos-one-ballot-for-all',
    bug: 'a promise reports votes as if they were cast in the ballot that is promised',
    seen: 'EPaxos: Sutra 2019',
    edits: [
      [
        'acceptor.ts',
        'votes.push(reported(vote, config.crc32));',
        'votes.push(reported({ ballot: s.promised, entry: vote.entry }, config.crc32));',
      ],
    ],
  },
  {
    id: 'paxos-votes-not-adopted',
    bug: 'a new proposer proposes its own values where others have voted',
    seen: 'Paxi HandleP1a; canonical',
    edits: [
      [
        'proposals.ts',
        'const found = phase.adopted.get(nextSlot)?.entry;',
        'const found = nextSlot % 2 === 0 ? phase.adopted.get(nextSlot)?.entry : undefined;',
      ],
    ],
  },
  {
    id: 'paxos-partial-key-ballot',
    bug: 'ballots of one round are taken for the same, whoever uses them',
    seen: 'ScyllaDB #6139',
    edits: [['ballot.ts', 'return a.round === b.round && a.node === b.node;', 'return a.round === b.round;']],
  },
  {
    id: 'paxos-round-promised-twice',
    bug: 'a round is promised to two nodes',
    seen: 'ScyllaDB #6139; canonical',
    edits: [
      [
        'acceptor.ts',
        'if (m.ballot.round <= s.promised.round) return false;',
        'if (m.ballot.round < s.promised.round) return false;',
      ],
    ],
  },
  {
    id: 'paxos-promise-hides-chosen',
    bug: 'a promise does not say what is chosen already: the new leader uses the slots again',
    seen: 'Paxi HandleP1a, exec',
    edits: [
      [
        'acceptor.ts',
        '  const { chosenIndex, firstIndex: firstRetained } = log;',
        '  const { firstIndex: firstRetained } = log;\n  const chosenIndex = (first - 1) as LogIndex;',
      ],
    ],
  },
  {
    id: 'paxos-promise-drops-pages',
    bug: 'only the first page of the votes is reported',
    seen: 'OmniPaxos 443b607; canonical',
    edits: [['acceptor.ts', '      next = slot;\n', '']],
  },
  {
    id: 'paxos-suffix-by-position',
    bug: 'reported votes are merged by their position, not by their slot',
    seen: 'OCons PR 21; OmniPaxos 443b607',
    edits: [
      [
        'phase-one.ts',
        '  const slot = entry.index;\n  const known',
        '  const slot = entry.index > 1 && phase.adoptedTo > 0 ? phase.adoptedTo + 1 : entry.index;\n  const known',
      ],
    ],
  },
  {
    id: 'paxos-watermark-without-ballot',
    bug: 'a follower delivers what it voted for in an earlier ballot, because the slot is called chosen',
    seen: 'what each design with a commit watermark must guard against',
    edits: [
      [
        'learner.ts',
        '  return vote !== undefined && sameBallot(vote.ballot, f.ballot);\n',
        '  return vote !== undefined;\n',
      ],
    ],
  },
  {
    id: 'paxos-old-acknowledgement-counts',
    bug: 'votes of an earlier ballot are counted',
    seen: 'swiftpaxos #2',
    edits: [
      [
        'learner.ts',
        'if (leading === undefined || p === undefined || !sameBallot(m.ballot, leading.ballot)) return;',
        'if (leading === undefined || p === undefined) return;',
      ],
    ],
  },
  {
    id: 'paxos-accept-quorum-too-small',
    bug: 'a slot is chosen by one vote too few',
    seen: 'canonical',
    edits: [
      [
        quorums,
        '    const needed = this.#sizes[phase];',
        "    const needed = phase === 'accept' ? this.#sizes[phase] - 1 : this.#sizes[phase];",
      ],
    ],
  },
  {
    id: 'paxos-prepare-quorum-too-small',
    bug: 'quorums of the two phases need not meet',
    seen: 'flexible quorums with Q1 + Q2 ≤ N; canonical',
    edits: [
      [
        quorums,
        '    const needed = this.#sizes[phase];',
        "    const needed = phase === 'prepare' ? Math.max(1, this.#sizes[phase] - 1) : this.#sizes[phase];",
      ],
    ],
  },
  {
    id: 'paxos-own-vote-unsynced',
    bug: 'a leader counts its own votes before its disk has them',
    seen: 'openraft a9f696a9',
    edits: [
      [
        'learner.ts',
        'countVotes(s, s.id, before + 1, s.durability.durableIndex);',
        'countVotes(s, s.id, before + 1, leading.nextSlot - 1);',
      ],
    ],
  },
  {
    id: 'paxos-window-open',
    bug: 'the window is not kept: slots are decided that a configuration to come should decide',
    seen: 'The Part-Time Parliament §3.3.5; canonical',
    edits: [
      [
        'configuration.ts',
        'return next !== undefined && slot >= nextFrom ? next : current;',
        'return next !== undefined ? next : current;',
      ],
    ],
  },
  {
    id: 'paxos-gap-never-filled',
    bug: 'a slot in which nobody voted is never filled, and nothing behind it is delivered',
    seen: 'Summerset PR 19; Paxi',
    edits: [
      [
        'proposals.ts',
        '    if (leading.nextSlot <= phase.adoptedTo) proposeAdopted(s, leading, out);',
        '    if (leading.nextSlot <= phase.adoptedTo && !phase.adopted.has(leading.nextSlot)) break;\n    if (leading.nextSlot <= phase.adoptedTo) proposeAdopted(s, leading, out);',
      ],
    ],
  },
  {
    id: 'paxos-copy-asks-for-more',
    bug: 'each copy of an answer to a learner asks for what comes next: with messages that arrive twice there are ever more of them',
    seen: 'found here',
    edits: [['catch-up.ts', 'if (isNews || isAnswer) afterLearning(', 'if (m.entries.length > 0) afterLearning(']],
    test: 'acceptor.test.ts',
  },
  {
    id: 'paxos-refusal-hides-ballot',
    bug: 'a refusal does not tell which ballot is in the way',
    seen: 'duels; canonical',
    edits: [
      [
        'acceptor.ts',
        "{ kind: 'rejected', ballot, promised: s.promised }",
        "{ kind: 'rejected', ballot, promised: { ...ballot, round: (ballot.round - 1) as typeof ballot.round } }",
      ],
    ],
  },
  {
    id: 'paxos-drop-forgotten',
    bug: 'a value that waits for a slot when the leader steps down is never heard of again',
    seen: 'OmniPaxos #136',
    edits: [['role.ts', "  for (const payload of leading.waiting) drop(out, payload, 'notLeader');\n", '']],
  },
  {
    id: 'paxos-step-down-is-a-refusal',
    bug: 'what a leader proposed before it stepped down is refused for certain, and chosen all the same',
    seen: 'consul #2893',
    edits: [['role.ts', "drop(out, payload, 'steppedDown');", "drop(out, payload, 'notLeader');"]],
  },
  {
    id: 'paxos-quorum-read-of-one',
    bug: 'a read by quorum believes the first who answers',
    seen: 'async-raft d60f1e85',
    edits: [
      [
        'quorum-reads.ts',
        "  if (!configuration.electorate.isQuorum('prepare', [...answers.keys()])) return undefined;\n",
        '',
      ],
    ],
  },
  {
    id: 'paxos-quorum-read-of-chosen',
    bug: 'a read by quorum asks what is known to be chosen, not what was voted for',
    seen: 'Charapko et al. 2019',
    edits: [
      [
        'quorum-reads.ts',
        "{ kind: 'readReply', token, lastIndex: s.log.lastIndex }",
        "{ kind: 'readReply', token, lastIndex: s.log.chosenIndex }",
      ],
      [
        'quorum-reads.ts',
        'q.round.answers.set(s.id, s.log.lastIndex);',
        'q.round.answers.set(s.id, s.log.chosenIndex);',
      ],
    ],
  },
  {
    id: 'paxos-read-without-quorum',
    bug: 'a read is served before its round is answered',
    seen: 'd-engine #381; sofa-jraft #25',
    edits: [['reads.ts', '  if (answered < leading.round) return;\n', '']],
  },
  {
    id: 'paxos-change-done-early',
    bug: 'a change of members is called done while some slots are known to the old voters only',
    seen: 'what a window of slots between two configurations must guard against',
    edits: [['reconfiguration.ts', '  if (!votersHaveAll(s, leading, out)) return;\n', '']],
  },
  {
    id: 'paxos-left-out-too-early',
    bug: 'old voters may leave for good as soon as a leader goes on with what the one before had begun',
    seen: 'found here',
    edits: [['reconfiguration.ts', 'return log.membersIndex < start && isVoter', 'return start > 0 && isVoter']],
  },
  {
    id: 'paxos-read-before-own',
    bug: 'a leader answers reads before it knows everything that others had chosen',
    seen: 'etcd #7331',
    edits: [['reads.ts', 'if (!leading.established || leading.waitingReads', 'if (leading.waitingReads']],
  },
  {
    id: 'paxos-lease-without-end',
    bug: 'the next leader does not wait for the lease of the last one',
    seen: 'TiKV #964; sofa-jraft PR 34',
    edits: [['leases.ts', '  return s.now >= s.othersLeaseUntil;\n', '  return s.now >= 0;\n']],
  },
  {
    id: 'paxos-lease-inherited',
    bug: 'a value that is proposed again in a higher ballot carries a lease, and whoever has delivered it before does not know',
    seen: 'found here',
    test: 'leases.test.ts',
    edits: [
      ['leases.ts', '=== undefined || slot < firstOwn) return;', '=== undefined || slot + firstOwn === 0) return;'],
      ['leases.ts', 'if (chosenIndex < leading.firstOwn ||', 'if (chosenIndex < leading.start ||'],
    ],
  },
  {
    id: 'paxos-deposed-leader-ends-leases',
    bug: 'a leader says that no lease is left before it hands over, and speaks for those who were elected after it as well',
    seen: 'found here',
    test: 'reads.test.ts',
    edits: [['leases.ts', '  s.othersLeaseUntil = s.anybodysLeaseUntil;\n', '  s.othersLeaseUntil = s.now;\n']],
  },
  {
    id: 'paxos-read-waits-for-who-left',
    bug: 'reads under way wait for the answer of a voter that a change has left out, and all later ones behind them',
    seen: 'found here',
    test: 'reads.test.ts',
    edits: [['learner.ts', '  confirmReads(s, leading, out); // of new members', '  // of new members']],
  },
];

export const paxos: readonly Mutant[] = table.map(({ edits, test, ...rest }) => ({
  ...rest,
  trial: test === undefined ? trial : { kind: 'tests', files: [`src/core/consensus/paxos/${test}`] },
  edits: edits.map(toEdit),
}));

function toEdit([file, find, replace]: Short['edits'][number]): Edit {
  return { file: file.includes('/') ? file : `src/core/consensus/paxos/${file}`, find, replace };
}
