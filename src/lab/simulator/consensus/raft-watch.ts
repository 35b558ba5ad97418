/** Raft from outside: its logs in the minds of the nodes and on their disks, its votes, its leaders (Figure 3 of the paper). */
import type { NodeId } from '../../../core/base/brand.ts';
import type { EngineStatus, Entry, Members, SnapshotPoint } from '../../../core/consensus/engine.ts';
import type { RaftMessage, RaftRecord } from '../../../core/consensus/index.ts';
import { hold } from './broken-rule.ts';
import type { CommittedLog } from './committed-log.ts';
import { describeMembers, isQuorum, quorumsMeet } from './members-of-group.ts';
import type { ProtocolWatch } from './protocol-watch.ts';

/** Room for terms below the index in one number. */
const termsMax = 2 ** 20;

/** A log as a row of checksums; everything up to `base` is held as state. */
class LogShadow {
  base = 0;
  term = 0;
  vote: NodeId | undefined;
  /** Of entries and state: a term is known by them as well. */
  termOfLog = 0;
  #checksums = new Map<number, number>();
  #last = 0;
  /** The furthest that it ever reached, whatever was cut since. */
  #furthest = 0;
  #configurations: { readonly index: number; readonly members: Members }[];

  constructor(bootstrap: Members) {
    this.#configurations = [{ index: 0, members: bootstrap }];
  }

  /** An entry replaces what is at its index and behind it. @returns the first index that was cut although `mustKeep` it */
  write(
    { index, term, checksum, payload }: Entry,
    mustKeep: (index: number, checksum: number) => boolean,
  ): number | undefined {
    if (index <= this.base) return undefined; // it was queued before a snapshot took its place
    this.termOfLog = Math.max(this.termOfLog, term);
    let lost: number | undefined;
    for (let at = index; at <= this.#last; at++) {
      const old = this.#checksums.get(at);
      if (old !== undefined && !(at === index && old === checksum) && mustKeep(at, old)) lost ??= at;
      this.#checksums.delete(at);
    }
    this.#checksums.set(index, checksum);
    this.#last = index;
    this.#furthest = Math.max(this.#furthest, index);
    while (this.#configurations.length > 1 && this.#configurations.at(-1)!.index >= index) this.#configurations.pop();
    if (payload.kind === 'members') this.#configurations.push({ index, members: payload.members });
    return lost;
  }

  /** A baseline may come ahead of records that were queued before it. */
  writeVote(term: number, vote: NodeId | undefined): void {
    if (term < this.term || (term === this.term && vote === undefined)) return;
    this.term = term;
    this.vote = vote;
  }

  votesFor(candidate: NodeId, term: number): boolean {
    return this.term === term && this.vote === candidate;
  }

  get last(): number {
    return this.#last;
  }

  /** Whether it holds entries up to `index`; of a term that is over, whether it did. */
  reached(index: number, term: number): boolean {
    return index <= this.#last || (term < this.termOfLog && index <= this.#furthest);
  }

  /** State takes the place of the entries up to a point. */
  holdState({ index, term, members }: SnapshotPoint): void {
    if (index <= this.base) return;
    this.termOfLog = Math.max(this.termOfLog, term);
    for (let at = this.base + 1; at < index; at++) this.#checksums.delete(at);
    this.base = index;
    this.#last = Math.max(this.#last, index);
    this.#configurations = [{ index, members }, ...this.#configurations.filter((later) => later.index > index)];
  }

  /** The log was given up for a snapshot that contradicts it. */
  cutBehind(index: number): void {
    for (let at = index + 1; at <= this.#last; at++) this.#checksums.delete(at);
    this.#last = index;
    this.#configurations = this.#configurations.filter((later, i) => i === 0 || later.index <= index);
  }

  holds(index: number, checksum: number): boolean {
    return index <= this.base || this.#checksums.get(index) === checksum;
  }

  checksumAt(index: number): number | undefined {
    return this.#checksums.get(index);
  }

  get members(): Members {
    return this.#configurations.at(-1)!.members;
  }
}

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
  /** The highest term that others have seen of a node. */
  readonly #shown = new Map<NodeId, number>();

  constructor(bootstrap: Members, log: CommittedLog) {
    this.#bootstrap = bootstrap;
    this.#log = log;
  }

  handedOut(node: NodeId, records: readonly RaftRecord[]): void {
    const mind = this.#mindOf(node);
    for (const record of records) {
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
    { term }: EngineStatus,
  ): void {
    const mind = new LogShadow(this.#bootstrap);
    for (const record of records) {
      if (record.kind === 'entry') mind.write(record.entry, keepsNothing);
      else if (record.kind === 'snapshotPoint') mind.holdState(record.point);
      else mind.writeVote(record.currentTerm, record.votedFor);
    }
    const { term: known, vote } = this.#diskOf(node);
    const isSame = mind.term === known && mind.vote === vote;
    hold(
      isSame,
      'only forwards',
      () => `n${node} reads term ${mind.term} and vote ${mind.vote}; it had written ${known} and ${vote}`,
    );
    if (applied !== undefined) mind.holdState(applied);
    this.#minds.set(node, mind);
    const shown = this.#shown.get(node) ?? 0;
    hold(term >= shown, 'only forwards', () => `n${node} restarts in term ${term}, and others know it in ${shown}`);
  }

  stateDurable(node: NodeId, point: SnapshotPoint): void {
    this.#diskOf(node).holdState(point);
  }

  stateInstalled(node: NodeId, point: SnapshotPoint): void {
    for (const shadow of [this.#mindOf(node), this.#diskOf(node)]) {
      const old = shadow.checksumAt(point.index);
      if (old !== point.checksum && point.index > shadow.base) shadow.cutBehind(point.index);
      shadow.holdState(point);
    }
  }

  left(from: NodeId, to: NodeId, message: RaftMessage): void {
    const disk = this.#diskOf(from);
    switch (message.kind) {
      case 'requestVote':
        this.#voted(from, disk, message.term, from);
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

  stepped({ id, role, term }: EngineStatus): void {
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
    if (payload.kind !== 'members') return;
    const before = this.#log.configurations.at(-2)!.members;
    hold(
      quorumsMeet(before, payload.members),
      'configurations meet',
      () => `${describeMembers(before)} is followed by ${describeMembers(payload.members)}`,
    );
  }

  canDecide(has: (node: NodeId) => boolean, sought: readonly Members[]): boolean {
    const shadows = [...this.#minds.values(), ...this.#disks.values()];
    const latest = this.#log.configurations.at(-1)!.members;
    const all = [latest, ...shadows.map(({ members }) => members), ...sought];
    return all.every((members) => isQuorum(members, has));
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
