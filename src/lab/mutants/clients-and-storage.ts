/** Client sessions, the host, and what lies on disk. */
import { type Mutant, raftGroups as trial } from './mutant.ts';

const rsm = 'src/system/rsm';
const wal = 'src/system/storage/wal';
const hostTests = { kind: 'tests', files: [`${rsm}/replica.test.ts`] } as const;
const keeperTests = { kind: 'tests', files: [`${rsm}/log-keeper.test.ts`] } as const;
const walTests = { kind: 'tests', files: [`${wal}/open-write-ahead-log.test.ts`] } as const;

export const clientsAndStorage: readonly Mutant[] = [
  {
    id: 'client-retry-applied-twice',
    bug: 'a command that is tried again takes effect again',
    seen: 'curvine #676; fluree PR 1839',
    trial,
    edits: [
      {
        file: `${rsm}/sessions.ts`,
        find: "    if (result !== undefined) return { kind: 'repeated', result };\n",
        replace: '',
      },
    ],
  },
  {
    id: 'client-step-down-is-a-refusal',
    bug: 'a proposal of a leader that stepped down is refused for certain, and commits all the same',
    seen: 'consul #2893',
    trial,
    edits: [
      {
        file: 'src/core/consensus/raft/role.ts',
        find: "out.drop({ kind: 'proposal', session, sequence, reason: 'steppedDown' });",
        replace: "out.drop({ kind: 'proposal', session, sequence, reason: 'notLeader' });",
      },
    ],
  },
  {
    id: 'client-drop-forgotten',
    bug: 'a proposal of a leader that stepped down is never heard of again',
    seen: 'etcd-io/raft, silent drops',
    trial,
    edits: [
      {
        file: 'src/core/consensus/raft/role.ts',
        find: '  dropUncommitted(s, leading, out);\n}',
        replace: '}',
      },
      {
        file: 'src/core/consensus/raft/role.ts',
        find: 'function dropUncommitted(',
        replace: 'export function dropUncommitted(',
      },
    ],
  },
  {
    id: 'client-sessions-lost-on-restart',
    bug: 'a restart or a snapshot forgets which commands were carried out',
    seen: 'OmniPaxos, engine swap; canonical',
    trial,
    edits: [
      {
        file: `${rsm}/sessions.ts`,
        find: '    this.#sessions = new Map(found);\n',
        replace: '    this.#sessions = new Map(found.slice(1));\n',
      },
    ],
  },
  {
    id: 'client-session-expires-by-load',
    bug: 'sessions end by something that is not in the log, so replicas end different ones',
    seen: 'canonical',
    trial,
    edits: [
      {
        file: `${rsm}/sessions.ts`,
        find: '  expire(time: number): void {\n',
        replace:
          '  #calls = 0;\n  expire(time: number): void {\n    if (++this.#calls % 8 === 0) this.#sessions.delete([...this.#sessions.keys()][0]!);\n',
      },
    ],
  },
  {
    id: 'storage-damage-is-a-torn-tail',
    bug: 'a damaged record in the middle of the log is taken for a torn tail, and what follows is cut',
    seen: 'Ganesan et al., FAST 2017; etcd #5230, #6515',
    trial: walTests,
    edits: [
      {
        file: `${wal}/recovery.ts`,
        find: '    if (proof !== undefined) {\n',
        replace: '    if (proof !== undefined && proof < 0) {\n',
      },
    ],
  },
  {
    id: 'storage-misdirected-write-passes',
    bug: 'a record that the disk has put in another place passes there: its checksum does not speak of its place',
    seen: 'TigerBeetle PR 2463, PR 2506',
    trial: walTests,
    edits: [
      {
        file: `${wal}/format.ts`,
        find: 'finish(mix(mix(mix(mix(seed, offset), length), synced), checksum))',
        replace: 'finish(mix(mix(mix(mix(seed, offset * 0), length), synced), checksum))',
      },
    ],
  },
  {
    id: 'host-tells-before-durable',
    bug: 'the host tells its engine that records are durable when they are only written',
    seen: 'PhxPaxos SyncInterval; canonical',
    trial: hostTests,
    edits: [
      {
        file: `${rsm}/log-keeper.ts`,
        find: 'await this.#log.append(this.#encode(records), sync);',
        replace: 'await this.#log.append(this.#encode(records), sync && records.length > 1_000);',
      },
    ],
  },
  {
    id: 'host-compaction-takes-too-much',
    bug: 'compaction lets go of segments whose entries the state does not hold yet',
    seen: 'openraft 71a290cd; canonical',
    trial: keeperTests,
    edits: [
      {
        file: `${rsm}/log-keeper.ts`,
        find: 'if (highest > index && segment < keepFrom) keepFrom = segment;',
        replace: 'if (highest > index + 1_000_000 && segment < keepFrom) keepFrom = segment;',
      },
    ],
  },
  {
    id: 'host-sessions-not-with-state',
    bug: 'the state becomes durable without the sessions that belong to it',
    seen: 'etcd #13766, PR 13854: applied index and state apart',
    trial,
    edits: [
      {
        file: `${rsm}/applier.ts`,
        find: '    this.#sessions.save(this.#store);\n',
        replace: '',
      },
    ],
  },
];
