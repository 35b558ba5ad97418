/** What a leader takes into its log: proposals of clients, and its own no-op. */
import type { DropReason, EntryPayload, Input, LogIndex, Proposal } from '../engine.ts';
import { entryBytes, makeEntry } from '../entry-format.ts';
import { isVoter } from '../quorums.ts';
import { noteOwnEntry } from './lease.ts';
import type { RaftMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { replicateToAll } from './replication.ts';
import { type Leading, membersOf, type RaftState } from './state.ts';

type Propose = Extract<Input<RaftMessage>, { kind: 'propose' }>;

export function propose(s: RaftState, out: Outbox, { proposals }: Propose): void {
  const { leading } = s;
  for (const proposal of proposals) {
    const reason = refusalOf(s, proposal);
    if (reason !== undefined) drop(out, proposal, reason);
    else {
      const { session, sequence, data } = proposal;
      appendOwn(s, leading!, out, { kind: 'proposal', session, sequence, data });
    }
  }
  if (leading !== undefined) replicateToAll(s, leading, out);
}

/** A leader that is about to leave takes nothing on that it might not see through. */
function isHandingOver(s: RaftState): boolean {
  return s.transfer !== undefined || !isVoter(membersOf(s), s.id);
}

/** One proposal always fits, so that a bound set too small cannot stop the group. */
function refusalOf(s: RaftState, { data }: Proposal): DropReason | undefined {
  const { leading } = s;
  if (leading === undefined) return 'notLeader';
  if (isHandingOver(s)) return 'changeInProgress';
  const { proposalMaxBytes, uncommittedMaxBytes, uncommittedMaxEntries } = s.config.limits;
  if (data.length > proposalMaxBytes) return 'tooLarge';
  const uncommitted = s.log.lastIndex - s.commitIndex;
  if (uncommitted === 0) return undefined;
  const full = uncommitted >= uncommittedMaxEntries || leading.uncommittedBytes + data.length > uncommittedMaxBytes;
  return full ? 'queueFull' : undefined;
}

/** The entry goes to our disk and to the followers at the same time; only what is durable here counts as our copy. */
export function appendOwn(s: RaftState, leading: Leading, out: Outbox, payload: EntryPayload): void {
  const index = (s.log.lastIndex + 1) as LogIndex;
  const entry = makeEntry(s.config.crc32, s.log.lastChecksum, s.currentTerm, index, payload);
  s.log.append(entry);
  noteOwnEntry(s, leading, index);
  leading.uncommittedBytes += entryBytes(entry);
  out.recordEntry(entry);
}

function drop(out: Outbox, { session, sequence }: Proposal, reason: DropReason): void {
  out.drop({ kind: 'proposal', session, sequence, reason });
}
