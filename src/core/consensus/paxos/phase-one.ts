/**
 * What a proposer gathers in phase 1, over all slots from its first unchosen one on: who has promised, what they voted for, and how far
 * they know everything to be chosen. Of several votes in a slot the one of the highest ballot counts ("Paxos Made Simple", §2.2, P2c).
 */
import type { NodeId } from '../../base/brand.ts';
import type { Crc32 } from '../../base/env.ts';
import type { LogIndex } from '../engine.ts';
import { chainChecksum } from '../entry-format.ts';
import { type Ballot, compareBallots } from './ballot.ts';
import type { PromiseMessage, ReportedVote } from './messages.ts';
import type { SlotLog } from './slot-log.ts';

export interface PhaseOne {
  readonly ballot: Ballot;
  /** Where the next page of each acceptor begins that has not told all its votes. */
  readonly asked: Map<NodeId, LogIndex>;
  /** Who has promised, and told all its votes. */
  readonly promises: NodeId[];
  /** By slot: the vote of the highest ballot. */
  readonly adopted: Map<number, ReportedVote>;
  /** The last slot of those. */
  adoptedTo: LogIndex;
  /** Every slot up to it is chosen, by the word of `informant`. */
  knownChosen: LogIndex;
  informant: NodeId | undefined;
}

export function newPhaseOne(ballot: Ballot): PhaseOne {
  const none = 0 as LogIndex;
  return {
    ballot,
    asked: new Map(),
    promises: [],
    adopted: new Map(),
    adoptedTo: none,
    knownChosen: none,
    informant: undefined,
  };
}

export function clonePhaseOne(phase: PhaseOne): PhaseOne {
  return {
    ballot: phase.ballot,
    asked: new Map(phase.asked),
    promises: phase.promises.slice(),
    adopted: new Map(phase.adopted),
    adoptedTo: phase.adoptedTo,
    knownChosen: phase.knownChosen,
    informant: phase.informant,
  };
}

/** Our own promise, and votes: to be taken once the promise is durable. */
export function takeOwnPromise(phase: PhaseOne, id: NodeId, log: SlotLog): void {
  phase.promises.push(id);
  if (log.chosenIndex > phase.knownChosen) phase.knownChosen = log.chosenIndex;
  for (let slot = log.firstUnchosen; slot <= log.lastIndex; slot++) {
    const vote = log.at(slot);
    if (vote !== undefined) adopt(phase, vote);
  }
}

/**
 * A page of a peer's promise: whether it was expected, and the last. A page that was damaged on its way is not taken. Once phase 2 has
 * begun it matters only `from` the slot on that it has not reached.
 */
export function takePage(
  phase: PhaseOne,
  from: NodeId,
  m: PromiseMessage,
  crc32: Crc32,
  openFrom = 0,
): 'ignored' | 'damaged' | 'more' | 'complete' {
  if (phase.asked.get(from) !== m.first) return 'ignored';
  if (!m.votes.every((vote) => isWhole(vote, crc32))) return 'damaged';
  if (openFrom === 0 && m.chosenIndex > phase.knownChosen) {
    phase.knownChosen = m.chosenIndex;
    phase.informant = from;
  }
  for (const vote of m.votes) if (vote.entry.index >= openFrom) adopt(phase, vote);
  if (m.next > m.first) {
    phase.asked.set(from, m.next as LogIndex);
    return 'more';
  }
  phase.asked.delete(from);
  phase.promises.push(from);
  return 'complete';
}

/** A reported value has a checksum of its own. */
export function reported({ ballot, entry }: ReportedVote, crc32: Crc32): ReportedVote {
  const { index, term, payload } = entry;
  return { ballot, entry: { index, term, payload, checksum: chainChecksum(crc32, 0, term, index, payload) } };
}

function isWhole({ entry }: ReportedVote, crc32: Crc32): boolean {
  return chainChecksum(crc32, 0, entry.term, entry.index, entry.payload) === entry.checksum;
}

function adopt(phase: PhaseOne, { ballot, entry }: ReportedVote): void {
  const slot = entry.index;
  const known = phase.adopted.get(slot);
  if (known !== undefined && compareBallots(known.ballot, ballot) >= 0) return;
  phase.adopted.set(slot, { ballot, entry });
  if (slot > phase.adoptedTo) phase.adoptedTo = slot;
}
