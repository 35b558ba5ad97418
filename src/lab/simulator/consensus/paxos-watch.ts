/**
 * Multi-Paxos from outside: promises and votes in the minds of the nodes and on their disks, and what these choose. A value is told by who
 * proposed it first: hash chains differ between proposers as long as the places before are open.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { EngineStatus, Entry, Members, QuorumSizes, SnapshotPoint } from '../../../core/consensus/engine.ts';
import type { PaxosMessage, PaxosRecord } from '../../../core/consensus/index.ts';
import { AcceptorShadow } from './acceptor-shadow.ts';
import { BrokenRule, hold } from './broken-rule.ts';
import type { CommittedLog } from './committed-log.ts';
import { countOf, describeMembers } from './members-of-group.ts';
import { isSameValue, nameOfValue } from './paxos-value.ts';
import type { GroupPlan } from './plan.ts';
import type { ProtocolWatch } from './protocol-watch.ts';

/** What the engine takes when nothing is said; written down here apart from it. */
const defaultWindowSlots = 256;
const nodesMax = 65_536;

/** In one slot and ballot. */
interface Proposed {
  readonly value: Entry;
  /** Whose disks voted for it. */
  readonly voters: NodeId[];
}

interface Ballot {
  readonly round: number;
  readonly node: number;
}

/** Totally ordered, as ballots are. */
function rank({ round, node }: Ballot): number {
  return round * nodesMax + node;
}

export class PaxosWatch implements ProtocolWatch<PaxosMessage, PaxosRecord> {
  readonly #bootstrap: Members;
  readonly #sizes: QuorumSizes | undefined;
  /** A configuration chosen in a slot decides from so many slots later on. */
  readonly #windowSlots: number;
  readonly #log: CommittedLog;
  readonly #minds = new Map<NodeId, AcceptorShadow>();
  readonly #disks = new Map<NodeId, AcceptorShadow>();
  /** Of each slot, by ballot. */
  readonly #proposed = new Map<number, Map<number, Proposed>>();
  /** By slot: what the disks have chosen. */
  readonly #chosen = new Map<number, Entry>();
  readonly #leaders = new Map<number, NodeId>();
  /** The highest ballot that others have seen a node act in. */
  readonly #shown = new Map<NodeId, number>();

  constructor(
    bootstrap: Members,
    log: CommittedLog,
    { quorums, windowSlots = defaultWindowSlots }: Pick<GroupPlan, 'quorums' | 'windowSlots'>,
  ) {
    this.#bootstrap = bootstrap;
    this.#log = log;
    this.#sizes = quorums;
    this.#windowSlots = windowSlots;
  }

  // ---------------------------------------------------------------- records

  handedOut(node: NodeId, records: readonly PaxosRecord[]): void {
    const mind = this.#mindOf(node);
    for (const record of records) {
      if (record.kind === 'accepted') {
        const ballot = rank(record.ballot);
        if (ballot < mind.promised)
          throw new BrokenRule(
            'promise kept',
            `n${node} votes in ${name(ballot)}, and has promised ${name(mind.promised)}`,
          );
        this.#propose(node, record.entry, ballot);
      }
      if (record.kind === 'snapshotPoint') this.#log.mustBeOn(node, record.point);
      this.#take(mind, record);
    }
  }

  durable(node: NodeId, records: readonly PaxosRecord[]): void {
    const disk = this.#diskOf(node);
    for (const record of records) {
      if (record.kind === 'accepted' || record.kind === 'learned') this.#mustKeepChosen(node, disk, record.entry);
      this.#take(disk, record);
      if (record.kind === 'accepted') this.#countVote(node, record.entry.index, rank(record.ballot));
    }
  }

  #take(shadow: AcceptorShadow, record: PaxosRecord): void {
    switch (record.kind) {
      case 'promise':
        shadow.promised = Math.max(shadow.promised, rank(record.ballot));
        break;
      case 'accepted': {
        const ballot = rank(record.ballot);
        shadow.promised = Math.max(shadow.promised, ballot);
        shadow.put(record.entry, ballot);
        break;
      }
      case 'learned':
        shadow.put(record.entry, 0);
        break;
      case 'snapshotPoint':
        shadow.holdState(record.point);
        break;
      case 'chosen':
        shadow.chosen = Math.max(shadow.chosen, record.index);
        break;
    }
  }

  #propose(node: NodeId, value: Entry, ballot: number): void {
    let ballots = this.#proposed.get(value.index);
    if (ballots === undefined) {
      ballots = new Map();
      this.#proposed.set(value.index, ballots);
    }
    const known = ballots.get(ballot);
    if (known === undefined) ballots.set(ballot, { value, voters: [] });
    else if (!isSameValue(known.value, value))
      throw new BrokenRule(
        'one value',
        `n${node} votes for ${nameOfValue(value)} in slot ${value.index}, ballot ${name(ballot)}, where others vote for ${nameOfValue(known.value)}`,
      );
  }

  #countVote(node: NodeId, slot: number, ballot: number): void {
    const { value, voters } = this.#proposed.get(slot)!.get(ballot)!;
    if (!voters.includes(node)) voters.push(node);
    const known = this.#chosen.get(slot);
    if (known !== undefined && isSameValue(known, value)) return;
    if (!this.#isQuorum('accept', this.#votersAt(slot), (voter) => voters.includes(voter))) return;
    if (known === undefined) this.#chosen.set(slot, value);
    else
      throw new BrokenRule(
        'one value',
        `the disks have chosen ${nameOfValue(known)} in slot ${slot}, and in ballot ${name(ballot)} they choose ${nameOfValue(value)}`,
      );
  }

  #mustKeepChosen(node: NodeId, disk: AcceptorShadow, entry: Entry): void {
    const old = disk.votes.get(entry.index)?.value;
    if (old === undefined || entry.index > this.#log.highest || isSameValue(old, entry)) return;
    const chosen = this.#chosen.get(entry.index);
    const isFree = chosen === undefined || !isSameValue(old, chosen);
    hold(
      isFree,
      'committed stays',
      () =>
        `the disk of n${node} replaces ${nameOfValue(old)} in slot ${entry.index}, which is chosen, by ${nameOfValue(entry)}`,
    );
  }

  // ---------------------------------------------------------------- lives

  restarted(
    node: NodeId,
    records: readonly PaxosRecord[],
    applied: SnapshotPoint | undefined,
    { term }: EngineStatus,
  ): void {
    const mind = new AcceptorShadow(this.#bootstrap);
    for (const record of records) this.#take(mind, record);
    if (applied !== undefined) mind.holdState(applied);
    this.#minds.set(node, mind);
    const { promised } = this.#diskOf(node);
    const isRead = mind.promised === promised;
    hold(
      isRead,
      'only forwards',
      () => `n${node} reads the promise ${name(mind.promised)}; it had written ${name(promised)}`,
    );
    const shown = this.#shown.get(node) ?? 0;
    const isKept = mind.promised >= shown && term >= Math.floor(shown / nodesMax);
    hold(
      isKept,
      'only forwards',
      () => `n${node} restarts with ${name(mind.promised)}, and others know it in ${name(shown)}`,
    );
  }

  stateDurable(node: NodeId, point: SnapshotPoint): void {
    this.#diskOf(node).holdState(point);
  }

  stateInstalled(node: NodeId, point: SnapshotPoint): void {
    this.#diskOf(node).holdState(point);
    this.#mindOf(node).holdState(point);
  }

  /** A leader's status tells of rounds that it has seen, not of its own: its messages do. */
  stepped({ id, commitIndex }: EngineStatus): void {
    this.#mindOf(id).chosen = commitIndex;
  }

  // ---------------------------------------------------------------- messages

  left(from: NodeId, to: NodeId, message: PaxosMessage): void {
    switch (message.kind) {
      case 'prepare':
      case 'accept':
        this.#mustOwn(from, message.ballot);
        this.#mustHavePromised(from, message.kind, rank(message.ballot));
        if (message.kind === 'accept') this.#leads(from, message.ballot.round);
        break;
      case 'promise':
        this.#mustOwn(to, message.ballot);
        this.#mustHavePromised(from, message.kind, rank(message.ballot));
        for (const vote of message.votes) this.#mustHaveCast(from, vote.entry, rank(vote.ballot));
        break;
      case 'accepted':
        this.#mustHavePromised(from, message.kind, rank(message.ballot));
        for (let slot = message.first; slot <= message.last; slot++)
          this.#mustHaveVoted(from, slot, rank(message.ballot));
        break;
      default:
    }
  }

  /** A ballot is used by one node only; and who leads in a round is the only one who does. */
  #mustOwn(proposer: NodeId, ballot: Ballot): void {
    const isOwn = ballot.node === proposer;
    hold(isOwn, 'election safety', () => `n${proposer} uses the ballot ${name(rank(ballot))} of another`);
  }

  /** An acceptor promises each round to one node; so where any two prepare quorums meet, one leads in it. */
  #leads(node: NodeId, round: number): void {
    if (this.#sizes !== undefined && this.#sizes.prepare * 2 <= this.#mostVoters) return;
    const known = this.#leaders.get(round);
    hold(
      known === undefined || known === node,
      'election safety',
      () => `n${known} and n${node} lead in round ${round}`,
    );
    this.#leaders.set(round, node);
  }

  /** Of any configuration so far. */
  get #mostVoters(): number {
    const sizes = this.#log.configurations.map(({ members }) => everyHalf(members).map(({ length }) => length));
    return Math.max(...sizes.flat());
  }

  #mustHavePromised(node: NodeId, kind: string, ballot: number): void {
    const { promised } = this.#diskOf(node);
    hold(
      promised >= ballot,
      'told before durable',
      () => `n${node} sends ${kind} of ${name(ballot)}; its disk knows of no more than ${name(promised)}`,
    );
    if (ballot > (this.#shown.get(node) ?? 0)) this.#shown.set(node, ballot);
  }

  /** What is told of a vote is so: a ballot that is too high would make its value win over the one that was chosen. */
  #mustHaveCast(node: NodeId, value: Entry, ballot: number): void {
    if (ballot === 0) return; // learned
    const cast = this.#proposed.get(value.index)?.get(ballot);
    const isSo = cast?.voters.includes(node) === true && isSameValue(cast.value, value);
    hold(isSo, 'told before durable', () => {
      return `n${node} tells of a vote for ${nameOfValue(value)} in slot ${value.index}, ballot ${name(ballot)}, which its disk has not`;
    });
  }

  #mustHaveVoted(node: NodeId, slot: number, ballot: number): void {
    const disk = this.#diskOf(node);
    const vote = disk.votes.get(slot);
    if (slot <= disk.base || (vote !== undefined && (vote.ballot === 0 || vote.ballot >= ballot))) return;
    const chosen = this.#chosen.get(slot);
    const isChosen = vote !== undefined && chosen !== undefined && isSameValue(vote.value, chosen);
    hold(isChosen, 'told before durable', () => {
      const held = vote === undefined ? 'nothing' : `a vote in ${name(vote.ballot)}`;
      return `n${node} acknowledges slot ${slot} in ${name(ballot)}; its disk has ${held} there`;
    });
  }

  // ---------------------------------------------------------------- what is chosen

  committed(node: NodeId, entry: Entry): void {
    const slot = entry.index;
    const chosen = this.#chosen.get(slot);
    hold(chosen !== undefined && isSameValue(chosen, entry), 'committed on disks', () => {
      const ballots = [...(this.#proposed.get(slot) ?? [])].map(
        ([ballot, of]) => `${nameOfValue(of.value)} in ${name(ballot)} by ${of.voters.join(' ') || 'nobody'}`,
      );
      const voters = describeMembers({ voters: this.#votersAt(slot), nonVoters: [] });
      return `n${node} delivers ${nameOfValue(entry)} in slot ${slot}; on the disks of ${voters} there are votes for ${ballots.join(', ') || 'nothing'}`;
    });
    const has = (voter: NodeId) => this.#diskOf(voter).holds(slot, entry);
    hold(
      this.#isQuorum('accept', this.#votersAt(slot), has),
      'committed on disks',
      () => `n${node} delivers ${nameOfValue(entry)} in slot ${slot}, which too few disks still hold`,
    );
  }

  canDecide(has: (node: NodeId) => boolean, sought: readonly Members[], retired: ReadonlySet<NodeId>): boolean {
    const isPast = (voters: readonly NodeId[]) => voters.some((voter) => retired.has(voter));
    return [...this.#configurations(), ...sought.map(({ voters }) => voters)].every(
      (voters) => isPast(voters) || (this.#isQuorum('prepare', voters, has) && this.#isQuorum('accept', voters, has)),
    );
  }

  configurationsBehind(index: number): readonly Members[] {
    const committed = this.#log.configurations.filter((one) => one.index > index).map(({ members }) => members);
    return [...committed, ...this.#shadows().flatMap((shadow) => shadow.openConfigurations(index))];
  }

  #shadows(): readonly AcceptorShadow[] {
    return [...this.#minds.values(), ...this.#disks.values()];
  }

  /** The voters of every configuration that anybody may act by, now or after a restart, or once what is voted for is chosen. */
  #configurations(): readonly (readonly NodeId[])[] {
    const shadows = this.#shadows();
    const held = shadows.map(({ configuration }) => configuration);
    const open = shadows.flatMap((shadow) => shadow.openConfigurations(this.#log.highest));
    const { configurations, highest } = this.#log;
    const settled = configurations.findLastIndex(({ index }) => index + this.#windowSlots <= highest);
    const inLog = configurations.slice(Math.max(0, settled));
    // who has not heard that a configuration is chosen acts by the one before
    const known = shadows.map(({ chosen }) => configurations.findLast(({ index }) => index <= chosen)!.members);
    return [...held, ...known, ...open, ...inLog.map(({ members }) => members)].flatMap(everyHalf);
  }

  #votersAt(slot: number): readonly NodeId[] {
    const { configurations } = this.#log;
    let at = configurations.length - 1;
    while (configurations[at]!.index >= slot) at -= 1;
    const latest = configurations[at]!;
    const { voters, votersNext } = latest.members;
    return votersNext !== undefined && slot >= latest.index + this.#windowSlots ? votersNext : voters;
  }

  #isQuorum(phase: keyof QuorumSizes, voters: readonly NodeId[], has: (node: NodeId) => boolean): boolean {
    const count = countOf(voters, has);
    return this.#sizes === undefined ? count * 2 > voters.length : count >= this.#sizes[phase];
  }

  #mindOf(node: NodeId): AcceptorShadow {
    return shadowOf(this.#minds, node, this.#bootstrap);
  }

  #diskOf(node: NodeId): AcceptorShadow {
    return shadowOf(this.#disks, node, this.#bootstrap);
  }
}

/** Those who vote, and those who are to. */
function everyHalf({ voters, votersNext }: Members): readonly (readonly NodeId[])[] {
  return votersNext === undefined ? [voters] : [voters, votersNext];
}

function shadowOf(shadows: Map<NodeId, AcceptorShadow>, node: NodeId, bootstrap: Members): AcceptorShadow {
  const known = shadows.get(node);
  if (known !== undefined) return known;
  const fresh = new AcceptorShadow(bootstrap);
  shadows.set(node, fresh);
  return fresh;
}

function name(ballot: number): string {
  return `${Math.floor(ballot / nodesMax)}.${ballot % nodesMax}`;
}
