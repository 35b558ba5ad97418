/**
 * Multi-Paxos (Lamport, "The Part-Time Parliament", "Paxos Made Simple"; van Renesse & Altinbuken, "Paxos Made Moderately Complex")
 * behind the Engine contract: one input in, its effects out. Dispatch only; the roles are in the files beside this one, under their names.
 */
import { unreachable } from '../../base/assert.ts';
import type { Millis, NodeId } from '../../base/brand.ts';
import { notePersisted } from '../durability.ts';
import type { Engine, EngineConfig, EngineKind, EngineStatus, Input, IoId, Restored } from '../engine.ts';
import { onAccept, onPrepare } from './acceptor.ts';
import { askAnother, considerLearning, isLeftAlone, onChosen, onLearn } from './catch-up.ts';
import { cloneState } from './clone.ts';
import { control } from './control.ts';
import { onElectorMessage, tickElector } from './elector-actions.ts';
import { checkInvariants, type Watermarks } from './invariants.ts';
import { applied, countOwnVotes, deliverCounted, deliverRecovered, onAccepted } from './learner.ts';
import { decodeMessage, encodeMessage, type PaxosMessage } from './messages.ts';
import { Outbox, type PaxosEffects } from './outbox.ts';
import { propose } from './proposals.ts';
import { askForPromises, continueCampaign, countOwnPromise, onPromise, onRejected, onTakeOver } from './proposer.ts';
import { continueQuorumReads, onFill, onReadQuery, onReadReply } from './quorum-reads.ts';
import { read } from './reads.ts';
import { askAgainForPromises, continueChange, onFed, sayFarewell } from './reconfiguration.ts';
import { decodeRecord, encodeRecord, indexOfRecord, type PaxosRecord } from './records.ts';
import { restore } from './restore.ts';
import { announceChosen, heartbeatAll, onMissing } from './sending.ts';
import { compact, snapshotArriving, snapshotInstalled, snapshotSent } from './snapshot.ts';
import { never, type PaxosState } from './state.ts';
import { PaxosStatus } from './status.ts';
import { pursueTransfer, settleTransfer } from './transfer.ts';

type PaxosInput = Input<PaxosMessage>;

class PaxosEngine implements Engine<PaxosMessage, PaxosRecord> {
  readonly #state: PaxosState;
  #watermarks: Watermarks | undefined;

  constructor(state: PaxosState) {
    this.#state = state;
  }

  step(input: PaxosInput): PaxosEffects {
    const s = this.#state;
    if ('now' in input && input.now > s.now) s.now = input.now;
    const out = new Outbox(s);
    if (s.log.chosenIndex < s.recoveredIndex) deliverRecovered(s, out);
    dispatch(s, out, input);
    if (s.campaign !== undefined) continueCampaign(s, s.campaign, out);
    if (s.leading !== undefined) continueChange(s, s.leading, out);
    settleTransfer(s, out);
    if (s.quorumReads.round !== undefined) continueQuorumReads(s, out);
    return out.effects();
  }

  get status(): EngineStatus {
    return new PaxosStatus(this.#state);
  }

  get nextTickAt(): Millis {
    const { elector, view, leading, campaign, learning, transfer, quorumReads } = this.#state;
    const asking = Math.min(
      campaign?.askAgainAt ?? never,
      learning?.askAgainAt ?? never,
      quorumReads.round?.askAgainAt ?? never,
    );
    let at = Math.min(elector.nextTickAt(view), asking, transfer?.until ?? never);
    if (leading !== undefined) at = Math.min(at, leading.announceAt, leading.nextHeartbeatAt, this.#leaseWait);
    return at as Millis;
  }

  /** When what is chosen, and waits for a lease of others to end, may be delivered. */
  get #leaseWait(): number {
    const { now, othersLeaseUntil } = this.#state;
    return now < othersLeaseUntil ? othersLeaseUntil : never;
  }

  /** Not what is chosen: a baseline may be durable before the votes are that were handed out ahead of it. */
  baseline(): readonly PaxosRecord[] {
    const { promised, log } = this.#state;
    return [
      { kind: 'promise', ballot: promised },
      { kind: 'snapshotPoint', point: log.base },
    ];
  }

  invariants(): void {
    this.#watermarks = checkInvariants(this.#state, this.#watermarks);
  }

  clone(): PaxosEngine {
    const copy = new PaxosEngine(cloneState(this.#state));
    copy.#watermarks = this.#watermarks && { ...this.#watermarks };
    return copy;
  }
}

function dispatch(s: PaxosState, out: Outbox, input: PaxosInput): void {
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
      onPersisted(s, out, input.io);
      break;
    case 'applied':
      applied(s, input.index);
      break;
    case 'snapshotInstalled':
      snapshotInstalled(s, out, input);
      break;
    case 'snapshotArriving':
      snapshotArriving(s, out, input);
      break;
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

/** The elector first: who leads may stop to. */
function tick(s: PaxosState, out: Outbox): void {
  tickElector(s, out);
  const { leading, campaign, learning, now } = s;
  if (campaign !== undefined && now >= campaign.askAgainAt) askForPromises(s, campaign, out);
  if (learning === undefined && isLeftAlone(s)) considerLearning(s, out);
  if (learning !== undefined && now >= learning.askAgainAt) askAnother(s, out);
  if (leading === undefined) return;
  if (leading.departing.size > 0) sayFarewell(s, leading);
  deliverCounted(s, leading, out);
  if (now >= leading.nextHeartbeatAt) {
    pursueTransfer(s, leading, out);
    askAgainForPromises(s, leading, out);
    heartbeatAll(s, leading, out);
  } else if (now >= leading.announceAt) announceChosen(s, leading, out);
}

function onMessage(s: PaxosState, out: Outbox, from: NodeId, message: PaxosMessage): void {
  if (s.config.traceMessages === true) out.trace('message_received', { from, kind: message.kind });
  switch (message.kind) {
    case 'elector':
      onElectorMessage(s, out, from, message.message);
      break;
    case 'prepare':
      onPrepare(s, out, from, message);
      break;
    case 'promise':
      onPromise(s, out, from, message);
      break;
    case 'accept':
      onAccept(s, out, from, message);
      break;
    case 'accepted':
      onAccepted(s, out, from, message);
      break;
    case 'rejected':
      onRejected(s, out, from, message);
      break;
    case 'missing':
      onMissing(s, out, from, message);
      break;
    case 'learn':
      onLearn(s, out, from, message);
      break;
    case 'chosen':
      onChosen(s, out, from, message);
      break;
    case 'readQuery':
      onReadQuery(s, out, from, message);
      break;
    case 'readReply':
      onReadReply(s, from, message);
      break;
    case 'fill':
      onFill(s, out, message);
      break;
    case 'fed':
      onFed(s, from, message);
      break;
    case 'takeOver':
      onTakeOver(s, out, from, message);
      break;
    default:
      unreachable(message);
  }
}

/** Our own promise, or our own votes, count from now on. */
function onPersisted(s: PaxosState, out: Outbox, io: IoId): void {
  const before = s.durability.durableIndex;
  notePersisted(s.durability, io, s.now);
  countOwnPromise(s);
  if (s.leading !== undefined) countOwnVotes(s, s.leading, out, before);
}

export const MultiPaxos: EngineKind<PaxosMessage, PaxosRecord> = {
  name: 'paxos',
  create: (config: EngineConfig, restored: Restored<PaxosRecord>) => new PaxosEngine(restore(config, restored)),
  encodeMessage,
  decodeMessage,
  encodeRecord,
  decodeRecord,
  indexOfRecord,
};
