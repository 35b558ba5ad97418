/** Raft from outside: its logs in the minds of the nodes and on their disks, its votes, its leaders (Figure 3 of the paper). */
import type { NodeId } from '../../../core/base/brand.ts';
import type { EngineStatus, Entry, Members, SnapshotPoint } from '../../../core/consensus/engine.ts';
import type { RaftMessage, RaftRecord } from '../../../core/consensus/index.ts';
import { hold } from './broken-rule.ts';
import type { CommittedLog } from './committed-log.ts';
import { isUpToDate, LogShadow, type Standing } from './log-shadow.ts';
import { describeMembers, everyVoter, isQuorum, quorumsMeet } from './members-of-group.ts';
import type { ProtocolWatch } from './protocol-watch.ts';

/** Room for terms below the index in one number. */
const termsMax = 2 ** 20;

export class RaftWatch implements ProtocolWatch<RaftMessage, RaftRecord> {
  readonly #bootstrap: Members;
  readonly #log: CommittedLog;
  readonly #minds = new Map<NodeId, LogShadow>();
  readonly #disks = new Map<NodeId, LogShadow>();
  /** Checksum by index and term. */
  readonly #entries = new Map<number, number>();
  readonly #leaders = new Map<number, NodeId>();
  /** Candidate by voter and term. */
  readonly #votes = new Map<number, NodeId>();
  /** How the log stood with which a candidate asks for votes, by candidate and term. */
  readonly #candidacies = new Map<number, Standing>();
  /** The highest term that others have seen of a node. */
  readonly #shown = new Map<NodeId, number>();

  constructor(bootstrap: Members, log: CommittedLog) {
    this.#bootstrap = bootstrap;
    this.#log = log;
  }

  handedOut(node: NodeId, records: readonly RaftRecord[]): void {
    const mind = this.#mindOf(node);
    for (const record of records) {
      if (record.kind === 'hardState') this.#votedInMind(node, mind, record.currentTerm, record.votedFor);
      if (record.kind === 'snapshotPoint') this.#log.mustBeOn(node, record.point);
      if (record.kind !== 'entry') continue;
      const { entry } = record;
      const key = entry.index * termsMax + entry.term;
      const known = this.#entries.get(key);
      if (known === undefined) this.#entries.set(key, entry.checksum);
      hold(
        known === undefined || known === entry.checksum,
        'log matching',
        () => `n${node} has another entry at index ${entry.index}, term ${entry.term}, than others`,
      );
      mind.write(entry, keepsNothing);
    }
  }

  /** A vote goes to a log that is at least as up-to-date as that of the voter (§5.4.1), here before it leaves. */
  #votedInMind(voter: NodeId, mind: LogShadow, term: number, candidate: NodeId | undefined): void {
    const isNew = candidate !== undefined && !mind.votesFor(candidate, term);
    mind.writeVote(term, candidate);
    if (!isNew) return;
    const { standing } = mind;
    if (candidate === voter) {
      this.#candidacies.set(voter * termsMax + term, standing);
      return;
    }
    const asks = this.#candidacies.get(candidate * termsMax + term);
    hold(
      asks !== undefined && isUpToDate(asks, standing),
      'up-to-date log wins',
      () =>
        `n${voter}, whose log ends at ${nameOf(standing)}, votes for n${candidate}, ${asks === undefined ? 'which did not ask for it' : `whose log ends at ${nameOf(asks)}`}`,
    );
  }

  durable(node: NodeId, records: readonly RaftRecord[]): void {
    const disk = this.#diskOf(node);
    for (const record of records) {
      if (record.kind === 'hardState') disk.writeVote(record.currentTerm, record.votedFor);
      if (record.kind !== 'entry') continue;
      const lost = disk.write(record.entry, (index, checksum) => this.#log.mustKeep(index, checksum));
      hold(lost === undefined, 'committed stays', () => `the disk of n${node} loses entry ${lost}, which is committed`);
    }
  }

  restarted(
    node: NodeId,
    records: readonly RaftRecord[],
    applied: SnapshotPoint | undefined,
    { term, lastIndex }: EngineStatus,
  ): void {
    const mind = new LogShadow(this.#bootstrap);
    let isVague = false;
    for (const record of records) {
      if (record.kind === 'entry') mind.write(record.entry, keepsNothing);
      else if (record.kind === 'snapshotPoint') isVague = mind.adoptRead(record.point) || isVague;
      else mind.writeVote(record.currentTerm, record.votedFor);
    }
    const { term: known, vote } = this.#diskOf(node);
    const isSame = mind.term === known && mind.vote === vote;
    hold(
      isSame,
      'only forwards',
      () => `n${node} reads term ${mind.term} and vote ${mind.vote}; it had written ${known} and ${vote}`,
    );
    if (applied !== undefined) isVague = mind.adoptRead(applied) || isVague;
    if (isVague && lastIndex < mind.last) mind.cutBehind(lastIndex);
    const isWhole = mind.last === lastIndex;
    hold(isWhole, 'log kept', () => `n${node} restarts with ${lastIndex} entries; it reads ${mind.last} in its log`);
    this.#minds.set(node, mind);
    const shown = this.#shown.get(node) ?? 0;
    hold(term >= shown, 'only forwards', () => `n${node} restarts in term ${term}, and others know it in ${shown}`);
  }

  stateDurable(node: NodeId, point: SnapshotPoint): void {
    this.#diskOf(node).holdState(point);
  }

  stateInstalled(node: NodeId, point: SnapshotPoint): void {
    this.#mindOf(node).adoptState(point);
    this.#diskOf(node).adoptState(point);
  }

  left(from: NodeId, to: NodeId, message: RaftMessage): void {
    const disk = this.#diskOf(from);
    switch (message.kind) {
      case 'requestVote':
        this.#voted(from, disk, message.term, from);
        this.#mustStandAs(from, message);
        break;
      case 'requestVoteResponse':
        if (message.voteGranted) this.#voted(from, disk, message.term, to);
        break;
      case 'appendEntriesAccepted': {
        const { matchIndex, term } = message;
        const has = disk.reached(matchIndex, term);
        hold(
          has,
          'told before durable',
          () => `n${from} acknowledges ${matchIndex}; its disk has ${disk.last} entries`,
        );
        break;
      }
      case 'appendEntries':
      case 'appendEntriesRejected':
        break;
      default:
        return; // an elector speaks of terms that nobody is in yet
    }
    const { term } = message;
    const isKnown = term <= Math.max(disk.term, disk.termOfLog);
    hold(isKnown, 'told before durable', () => `n${from} speaks in term ${term}; its disk knows of ${disk.term}`);
    if (term > (this.#shown.get(from) ?? 0)) this.#shown.set(from, term);
  }

  #mustStandAs(candidate: NodeId, { term, lastLogTerm, lastLogIndex }: Extract<RaftMessage, { kind: 'requestVote' }>) {
    const stood = this.#candidacies.get(candidate * termsMax + term);
    hold(stood?.lastTerm === lastLogTerm && stood.lastIndex === lastLogIndex, 'up-to-date log wins', () => {
      const says = nameOf({ lastTerm: lastLogTerm, lastIndex: lastLogIndex });
      return `n${candidate} asks for votes with a log that ends at ${says}; it ends at ${stood === undefined ? 'no place' : nameOf(stood)}`;
    });
  }

  #voted(voter: NodeId, disk: LogShadow, term: number, candidate: NodeId): void {
    const key = voter * termsMax + term;
    const known = this.#votes.get(key);
    if (known === undefined) this.#votes.set(key, candidate);
    const isOne = known === undefined || known === candidate;
    hold(isOne, 'one vote', () => `n${voter} votes for n${known} and for n${candidate} in term ${term}`);
    const isDurable = disk.term > term || (disk.term === term && disk.vote === candidate);
    hold(
      isDurable,
      'told before durable',
      () => `n${voter} votes for n${candidate} in term ${term}, which its disk does not know`,
    );
  }

  stepped({ id, role, term, lastIndex }: EngineStatus): void {
    const { last } = this.#mindOf(id);
    if (last !== lastIndex)
      hold(false, 'log kept', () => `the log of n${id} ends at ${lastIndex}; it has written down ${last} entries`);
    if (role !== 'leader') return;
    const known = this.#leaders.get(term);
    if (known === id) return;
    hold(known === undefined, 'election safety', () => `n${known} and n${id} lead term ${term}`);
    this.#leaders.set(term, id);
    const mind = this.#mindOf(id);
    const hasVote = (voter: NodeId) =>
      this.#votes.get(voter * termsMax + term) === id || this.#diskOf(voter).votesFor(id, term);
    hold(isQuorum(mind.members, hasVote), 'election safety', () => {
      const voters = mind.members.voters.filter(hasVote).join(' ');
      return `n${id} leads term ${term} by the votes of ${voters || 'nobody'}, of ${describeMembers(mind.members)}`;
    });
    for (let index = mind.base + 1; index <= this.#log.highest; index++) {
      const has = this.#log.termOfCommit(index) >= term || mind.holds(index, this.#log.checksumAt(index)!);
      hold(has, 'leader completeness', () => `n${id} leads term ${term} without entry ${index}, which is committed`);
    }
  }

  committed(node: NodeId, { index, checksum, payload }: Entry): void {
    const { members } = this.#mindOf(node);
    const has = (voter: NodeId) => this.#diskOf(voter).holds(index, checksum);
    hold(isQuorum(members, has), 'committed on disks', () => {
      const holders = [...this.#disks.keys()].filter(has).join(' ');
      return `n${node} commits ${index}; it is on the disks of ${holders || 'nobody'}, of the voters ${describeMembers(members)}`;
    });
    this.#mustBeSafe(index, checksum);
    if (payload.kind !== 'members') return;
    const before = this.#log.configurations.at(-2)!.members;
    hold(
      quorumsMeet(before, payload.members),
      'configurations meet',
      () => `${describeMembers(before)} is followed by ${describeMembers(payload.members)}`,
    );
  }

  /** Who lacks a committed entry on its disk cannot be elected with what is on the disks: else it is not committed for ever (Figure 8). */
  #mustBeSafe(index: number, checksum: number): void {
    for (const [candidate, disk] of this.#disks) {
      if (disk.holds(index, checksum) || !everyVoter(disk.members).includes(candidate)) continue;
      const { standing } = disk;
      const wouldVote = (voter: NodeId) => isUpToDate(standing, this.#diskOf(voter).standing);
      hold(!isQuorum(disk.members, wouldVote), 'leader completeness', () => {
        const voters = everyVoter(disk.members).filter(wouldVote).join(' ');
        return `entry ${index} is committed, and n${candidate}, which lacks it, could be elected by the disks of ${voters}`;
      });
    }
  }

  canDecide(has: (node: NodeId) => boolean, sought: readonly Members[], retired: ReadonlySet<NodeId>): boolean {
    const latest = this.#log.configurations.at(-1)!.members;
    const all = [latest, ...this.#shadows().map(({ members }) => members), ...sought];
    const isPast = (members: Members) => everyVoter(members).some((voter) => retired.has(voter));
    return all.every((members) => isPast(members) || isQuorum(members, has));
  }

  configurationsBehind(index: number): readonly Members[] {
    const committed = this.#log.configurations.filter((one) => one.index > index).map(({ members }) => members);
    return [...committed, ...this.#shadows().flatMap((shadow) => shadow.configurationsBehind(index))];
  }

  #shadows(): readonly LogShadow[] {
    return [...this.#minds.values(), ...this.#disks.values()];
  }

  #mindOf(node: NodeId): LogShadow {
    return shadowOf(this.#minds, node, this.#bootstrap);
  }

  #diskOf(node: NodeId): LogShadow {
    return shadowOf(this.#disks, node, this.#bootstrap);
  }
}

const keepsNothing = () => false;

function shadowOf(shadows: Map<NodeId, LogShadow>, node: NodeId, bootstrap: Members): LogShadow {
  const known = shadows.get(node);
  if (known !== undefined) return known;
  const fresh = new LogShadow(bootstrap);
  shadows.set(node, fresh);
  return fresh;
}

function nameOf({ lastTerm, lastIndex }: Standing): string {
  return `${lastIndex} of term ${lastTerm}`;
}
