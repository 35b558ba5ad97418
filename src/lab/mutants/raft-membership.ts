/** Changes of membership: joint consensus. */
import { type Mutant, raftGroups as trial } from './mutant.ts';

const raft = 'src/core/consensus/raft';
const quorums = 'src/core/consensus/quorums.ts';

export const raftMembership: readonly Mutant[] = [
  {
    id: 'members-two-changes-at-once',
    bug: 'the next configuration is entered before the one in force is committed',
    seen: 'etcd #7625, #11284; valkey #3926; cockroach PR 124804',
    trial,
    edits: [
      {
        file: `${raft}/membership.ts`,
        find: 'if (leading.membersSettled || !leading.established || s.log.membersIndex > s.commitIndex) return;',
        replace: 'if (leading.membersSettled || !leading.established) return;',
      },
    ],
  },
  {
    id: 'members-joint-commits-by-new-half',
    bug: 'under a joint configuration a majority of the new half commits',
    seen: 'openraft 6c0ccaf3; redpanda PR 3055',
    trial,
    edits: [
      {
        file: quorums,
        find: 'return Math.min(first, countReached(votersNext, majorityOf(votersNext.length), reached));',
        replace: 'return countReached(votersNext, majorityOf(votersNext.length), reached);',
      },
    ],
  },
  {
    id: 'members-joint-elects-by-old-half',
    bug: 'under a joint configuration a majority of the old half elects',
    seen: 'openraft 6c0ccaf3',
    trial,
    edits: [
      {
        file: quorums,
        find: 'return votersNext === undefined ? first : both(first, countOutcome(',
        replace: "return votersNext === undefined || first === 'won' ? first : both(first, countOutcome(",
      },
    ],
  },
  {
    id: 'members-no-joint-phase',
    bug: 'a group changes to any other set of voters in one step',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${raft}/membership.ts`,
        find: 'enter(s, leading, out, { voters: before.voters, votersNext: goal.voters, nonVoters: goal.nonVoters });',
        replace: 'enter(s, leading, out, goal);',
      },
    ],
  },
  {
    id: 'members-joint-lost-on-restart',
    bug: 'a restart or a snapshot forgets that a configuration is joint',
    seen: 'etcd e515a67',
    trial,
    edits: [
      {
        file: 'src/system/rsm/point.ts',
        find: 'votersNext === undefined ? { voters, nonVoters } : { voters, votersNext, nonVoters };',
        replace: 'votersNext === undefined ? { voters, nonVoters } : { voters: votersNext, nonVoters };',
      },
    ],
  },
  {
    id: 'members-non-voter-counts',
    bug: 'who only listens counts towards a quorum',
    seen: 'async-raft d882e743; dragonboat #94',
    trial,
    edits: [
      {
        file: quorums,
        find: 'const first = countReached(voters, majorityOf(voters.length), reached);',
        replace:
          'const all = [...voters, ...members.nonVoters];\n  const first = countReached(all, majorityOf(all.length), reached);',
      },
    ],
  },
  {
    id: 'members-promoted-refuses-to-vote',
    bug: 'a new voter refuses to vote until it knows itself that it may',
    seen: 'etcd PR 10998',
    trial,
    edits: [
      {
        file: `${raft}/election.ts`,
        find: '&& !disturbs && free && isUpToDate(s, m);',
        replace: '&& !disturbs && free && isUpToDate(s, m) && isVoter(membersOf(s), s.id);',
      },
    ],
  },
  {
    id: 'members-uncommitted-in-snapshot',
    bug: 'a compaction point carries a configuration that is not committed, and that cannot be taken back',
    seen: 'canonical/raft #250, #323; openraft #1808',
    trial,
    edits: [
      {
        file: `${raft}/log.ts`,
        find: 'const members = this.#membersOf(this.#memberIndexes.findLast((at) => at <= index));',
        replace: 'const members = this.members;',
      },
    ],
  },
  {
    id: 'members-removed-leader-stays',
    bug: 'a leader that is no member any more goes on leading',
    seen: 'etcd #11038; raft-rs PR 584',
    trial,
    edits: [
      {
        file: `${raft}/membership.ts`,
        find: "  becomeFollower(s, out, s.currentTerm, undefined, 'it has no vote any more');\n",
        replace: '',
      },
    ],
  },
  {
    id: 'members-removed-voter-counts-itself',
    bug: 'a leader that has left the configuration still counts its own copy',
    seen: 'dissertation §4.2.2',
    trial,
    edits: [
      {
        file: `${raft}/commit.ts`,
        find: 'const stored = quorumReached(membersOf(s), (voter) =>',
        replace:
          'const all = membersOf(s);\n  const stored = quorumReached(isVoter(all, s.id) ? all : { ...all, voters: [...all.voters, s.id] }, (voter) =>',
      },
      { file: `${raft}/commit.ts`, find: 'import { quorumReached }', replace: 'import { isVoter, quorumReached }' },
    ],
  },
  {
    id: 'members-in-force-when-committed',
    bug: 'a configuration is in force when it is committed, and its joint phase with it',
    seen: 'etcd; canonical',
    trial,
    edits: [
      {
        file: `${raft}/log.ts`,
        find: '    return this.#membersOf(this.#memberIndexes.at(-1));\n',
        replace:
          '    return this.#membersOf(this.#memberIndexes.at(-1) === this.lastIndex ? this.#memberIndexes.at(-2) : this.#memberIndexes.at(-1));\n',
      },
    ],
  },
  {
    id: 'members-truncation-keeps-configuration',
    bug: 'a configuration that was cut from the log stays in force',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${raft}/log.ts`,
        find: '    while ((this.#memberIndexes.at(-1) ?? 0) >= index) this.#memberIndexes.pop();\n',
        replace: '',
      },
    ],
  },
  {
    id: 'members-left-out-too-early',
    bug: 'a voter may leave for good as soon as the configuration without it is in the log, and is missed when that is lost in a crash',
    seen: 'found here',
    trial,
    edits: [
      {
        file: `${raft}/status.ts`,
        find: 'this.members.votersNext === undefined && s.log.membersIndex <= s.commitIndex;',
        replace: 'this.members.votersNext === undefined;',
      },
    ],
  },
  {
    id: 'members-read-waits-for-who-left',
    bug: 'reads under way wait for the answer of a voter that a change has left out, and all later ones behind them',
    seen: 'found here',
    trial: { kind: 'tests', files: [`${raft}/read-index.test.ts`] },
    edits: [
      { file: `${raft}/membership.ts`, find: '  confirmReads(s, leading, out); // those', replace: '  // those' },
    ],
  },
  {
    id: 'members-votes-outlive-snapshot',
    bug: 'a candidate counts the votes that it has by the members that a snapshot of its very term brings',
    seen: 'found here',
    trial: { kind: 'tests', files: [`${raft}/snapshot.test.ts`] },
    edits: [
      {
        file: `${raft}/snapshot.ts`,
        find: "s.leading === undefined ? s.role === 'follower' : s.log",
        replace: 's.leading === undefined ? true : s.log',
      },
    ],
  },
];
