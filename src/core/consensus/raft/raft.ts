/**
 * Raft (Ongaro & Ousterhout 2014; Ongaro's dissertation) behind the Engine contract: one input in, its effects out. Dispatch only;
 * the protocol is in the files beside this one, named for the parts of the paper.
 */
import { assert, unreachable } from '../../base/assert.ts';
import type { Millis, NodeId } from '../../base/brand.ts';
import { notePersisted } from '../durability.ts';
import type { Engine, EngineConfig, EngineKind, EngineStatus, Input, LogIndex, Restored } from '../engine.ts';
import { onAppendEntriesAccepted, onAppendEntriesRejected } from './acknowledgement.ts';
import { onAppendEntries } from './append-entries.ts';
import { cloneState } from './clone.ts';
import { advanceCommit } from './commit.ts';
import { control } from './control.ts';
import { countOwnVote, onRequestVote, onRequestVoteResponse } from './election.ts';
import { onElectorMessage, tickElector } from './elector-actions.ts';
import { checkInvariants, type Watermarks } from './invariants.ts';
import { continueChange, sayFarewell } from './membership.ts';
import { decodeMessage, encodeMessage, type RaftMessage } from './messages.ts';
import { Outbox, type RaftEffects } from './outbox.ts';
import { propose } from './proposals.ts';
import { read } from './read-index.ts';
import { decodeRecord, encodeRecord, indexOfRecord, type RaftRecord } from './records.ts';
import { keepInTouch } from './replication.ts';
import { restore } from './restore.ts';
import { compact, snapshotInstalled, snapshotSent } from './snapshot.ts';
import { never, type RaftState } from './state.ts';
import { RaftStatus } from './status.ts';
import { onTimeoutNow, pursueTransfer, settleTransfer } from './transfer.ts';

type RaftInput = Input<RaftMessage>;

class RaftEngine implements Engine<RaftMessage, RaftRecord> {
  readonly #state: RaftState;
  #watermarks: Watermarks | undefined;

  constructor(state: RaftState) {
    this.#state = state;
  }

  step(input: RaftInput): RaftEffects {
    const s = this.#state;
    if ('now' in input && input.now > s.now) s.now = input.now;
    const out = new Outbox(s);
    dispatch(s, out, input);
    if (s.leading !== undefined) continueChange(s, s.leading, out);
    settleTransfer(s, out);
    return out.effects();
  }

  get status(): EngineStatus {
    return new RaftStatus(this.#state);
  }

  get nextTickAt(): Millis {
    const { leading, elector, view, transfer, othersLeaseUntil, now } = this.#state;
    const at = Math.min(elector.nextTickAt(view), transfer?.until ?? never);
    if (leading === undefined) return at as Millis;
    const commitAt = leading.established || othersLeaseUntil <= now ? never : othersLeaseUntil;
    return Math.min(at, leading.announceAt, leading.nextHeartbeatAt, leading.resumeAt, commitAt) as Millis;
  }

  baseline(): readonly RaftRecord[] {
    const { currentTerm, votedFor, log } = this.#state;
    return [
      { kind: 'hardState', currentTerm, votedFor },
      { kind: 'snapshotPoint', point: log.base },
    ];
  }

  invariants(): void {
    this.#watermarks = checkInvariants(this.#state, this.#watermarks);
  }

  clone(): RaftEngine {
    const copy = new RaftEngine(cloneState(this.#state));
    copy.#watermarks = this.#watermarks && { ...this.#watermarks };
    return copy;
  }
}

function dispatch(s: RaftState, out: Outbox, input: RaftInput): void {
  switch (input.kind) {
    case 'tick':
      tick(s, out);
      break;
    case 'message':
      onMessage(s, out, input.from, input.message);
      break;
    case 'propose':
      propose(s, out, input);
      break;
    case 'read':
      read(s, out, input);
      break;
    case 'persisted':
      notePersisted(s.durability, input.io, s.now);
      onPersisted(s, out);
      break;
    case 'applied':
      applied(s, input.index);
      break;
    case 'snapshotInstalled':
      snapshotInstalled(s, out, input);
      break;
    case 'snapshotArriving':
      break; // the leader alone sends it, and unasked
    case 'snapshotSent':
      snapshotSent(s, input);
      break;
    case 'compact':
      compact(s, input);
      break;
    case 'control':
      control(s, out, input);
      break;
    default:
      unreachable(input);
  }
}

function onMessage(s: RaftState, out: Outbox, from: NodeId, message: RaftMessage): void {
  if (s.config.traceMessages === true) traceMessage(out, from, message);
  switch (message.kind) {
    case 'elector':
      onElectorMessage(s, out, from, message.message);
      break;
    case 'timeoutNow':
      onTimeoutNow(s, out, from, message);
      break;
    case 'requestVote':
      onRequestVote(s, out, from, message);
      break;
    case 'requestVoteResponse':
      onRequestVoteResponse(s, out, from, message);
      break;
    case 'appendEntries':
      onAppendEntries(s, out, from, message);
      break;
    case 'appendEntriesAccepted':
      onAppendEntriesAccepted(s, out, from, message);
      break;
    case 'appendEntriesRejected':
      onAppendEntriesRejected(s, out, from, message);
      break;
    default:
      unreachable(message);
  }
}

function traceMessage(out: Outbox, from: NodeId, message: RaftMessage): void {
  const fields =
    message.kind === 'elector' ? { kind: message.message.kind } : { kind: message.kind, term: message.term };
  out.trace('message_received', { from, ...fields });
}

function tick(s: RaftState, out: Outbox): void {
  tickElector(s, out);
  const { leading } = s;
  if (leading === undefined) return;
  if (leading.departing.size > 0) sayFarewell(s, leading);
  if (s.now >= leading.nextHeartbeatAt) pursueTransfer(s, leading, out);
  if (!leading.established) advanceCommit(s, leading, out);
  keepInTouch(s, leading, out);
}

function applied(s: RaftState, index: LogIndex): void {
  assert(index <= s.commitIndex, 'only what is committed is applied', { index, commitIndex: s.commitIndex });
  if (index > s.appliedIndex) s.appliedIndex = index;
}

/** Our own copy of an entry, or our own vote, counts from now on. */
function onPersisted(s: RaftState, out: Outbox): void {
  countOwnVote(s, out);
  if (s.leading !== undefined) advanceCommit(s, s.leading, out);
}

export const Raft: EngineKind<RaftMessage, RaftRecord> = {
  name: 'raft',
  create: (config: EngineConfig, restored: Restored<RaftRecord>) => new RaftEngine(restore(config, restored)),
  encodeMessage,
  decodeMessage,
  encodeRecord,
  decodeRecord,
  indexOfRecord,
};
