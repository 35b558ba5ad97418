/**
 * Commands of this host that have no result yet. All that arrive in one turn gather into one batch, which is one entry of the log; while
 * `batchesInFlight` batches are on their way, further commands gather into the next. A command is in one place only: it gathers, or it is in
 * one batch on its way, until it is answered, once: with its result, with a certain refusal, or with "unknown" (retry with the same id).
 * Whenever commands gather, a turn in which they are proposed is scheduled, or a batch is on its way whose end schedules one.
 */
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { Dropped, DropReason, Proposal } from '../../core/consensus/engine.ts';
import type { BatchListener, CommandOutcome } from './applier.ts';
import { type BatchCommand, batchMaxBytes, batchMaxCommands, encodeBatch } from './batch.ts';
import { notLeader, stoppedHere } from './not-leader.ts';

/** Commands that gather. Those on their way are bounded by the limits of batches. */
export const commandsWaitingMax = 16_384;
export const commandsWaitingBytesMax = 64 * 1024 * 1024;
/** Fewer commands than this are never split into several batches. */
const batchMinCommands = 128;
/** Of a command in a batch, at most. */
const overheadBytes = 32;

/** Names a command across retries; see batch.ts. */
export interface CommandId {
  readonly client: number;
  readonly sequence: number;
  readonly ackBelow: number;
}

export interface BatchLimits {
  /** Batches that may be on their way at once; further commands gather into the next. */
  readonly batchesInFlight: number;
  /** A batch of fewer commands than this waits until no other is on its way: small batches cost nearly what large ones do. */
  readonly overlapMinCommands: number;
}

export interface ProposingHost {
  readonly env: Env;
  /** Of the last batch applied: the next one has no earlier time. */
  readonly appliedTime: number;
  propose(batch: Proposal): void;
}

/** As a batch has it, and who waits for it. */
interface Waiter extends BatchCommand {
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (error: CairnError) => void;
}

export class WaitingCommands implements BatchListener {
  readonly #host: ProposingHost;
  readonly #limits: BatchLimits;
  /** Names this host's batches in the log, so that it knows its own when they commit. */
  readonly #session: number;
  #nextBatch = 1;
  #gathering: Waiter[] = [];
  #gatheringBytes = 0;
  #isScheduled = false;
  /** On their way, by sequence. */
  readonly #batches = new Map<number, readonly Waiter[]>();

  constructor(host: ProposingHost, limits: BatchLimits) {
    this.#host = host;
    this.#limits = limits;
    this.#session = host.env.random.id53();
  }

  /** Resolves with what the state machine made of the command. @throws CairnError BUSY, TOO_LARGE, what its batch was dropped for */
  begin(id: CommandId, command: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (command.length > batchMaxBytes / 2)
        reject(
          new CairnError('TOO_LARGE', `a command of ${command.length} bytes; at most ${batchMaxBytes / 2} are taken`),
        );
      else if (this.#isFull(command.length))
        reject(new CairnError('BUSY', `${this.#gathering.length} commands wait already; try again later`));
      else {
        this.#gatheringBytes += command.length;
        const { client, sequence, ackBelow } = id;
        this.#gathering.push({ client, sequence, ackBelow, command, resolve, reject });
        this.#schedule();
      }
    });
  }

  #isFull(moreBytes: number): boolean {
    return this.#gathering.length >= commandsWaitingMax || this.#gatheringBytes + moreBytes > commandsWaitingBytesMax;
  }

  /** A batch of any host was applied. */
  applied(session: number, sequence: number, outcomes: readonly CommandOutcome[]): void {
    if (session !== this.#session) return;
    const waiters = this.#batches.get(sequence);
    if (waiters === undefined) return;
    this.#batches.delete(sequence);
    for (let i = 0; i < waiters.length; i++) {
      const outcome = outcomes[i]!;
      if (outcome instanceof CairnError) waiters[i]!.reject(outcome);
      else waiters[i]!.resolve(outcome);
    }
    if (this.#gathering.length > 0) this.#schedule();
  }

  dropped({ session, sequence, reason }: Extract<Dropped, { readonly kind: 'proposal' }>): void {
    this.#failBatch(session, sequence, () => dropError(reason));
  }

  /** A batch of any host took effect, and nobody here knows with what results. */
  skipped(session: number, sequence: number): void {
    const why = 'a peer brought the state up to date before the command took its turn here; retry with the same id';
    this.#failBatch(session, sequence, () => new CairnError('UNKNOWN_OUTCOME', why));
  }

  #failBatch(session: number, sequence: number, error: () => CairnError): void {
    if (session !== this.#session) return;
    const waiters = this.#batches.get(sequence) ?? [];
    this.#batches.delete(sequence);
    for (const waiter of waiters) waiter.reject(error());
    if (this.#gathering.length > 0) this.#schedule();
  }

  /** Leadership has ended: what was never proposed is refused for certain; what was is reported by the engine. */
  abandon(): void {
    for (const waiter of this.#takeAll()) waiter.reject(notLeader());
  }

  /** What gathers did not happen; what is on its way may still happen, under another leader. */
  stop(error: CairnError): void {
    for (const waiter of this.#takeAll()) waiter.reject(stoppedHere(error));
    for (const waiters of this.#batches.values())
      for (const waiter of waiters)
        waiter.reject(new CairnError('UNKNOWN_OUTCOME', 'this master stopped; ask another', { cause: error }));
    this.#batches.clear();
  }

  #takeAll(): readonly Waiter[] {
    const all = this.#gathering;
    this.#gathering = [];
    this.#gatheringBytes = 0;
    return all;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#host.env.clock.soon(() => {
      this.#isScheduled = false;
      this.#propose();
    });
  }

  #propose(): void {
    while (this.#mayPropose()) {
      const waiters = this.#takeBatch();
      const sequence = this.#nextBatch++;
      const time = Math.max(this.#host.env.clock.wallNow(), this.#host.appliedTime);
      const data = encodeBatch({ time, commands: waiters });
      this.#batches.set(sequence, waiters);
      this.#host.propose({ session: this.#session, sequence, data });
    }
  }

  #mayPropose(): boolean {
    const { batchesInFlight, overlapMinCommands } = this.#limits;
    if (this.#batches.size === 0) return this.#gathering.length > 0;
    return this.#batches.size < batchesInFlight && this.#gathering.length >= overlapMinCommands;
  }

  #takeBatch(): readonly Waiter[] {
    // A convoy (all clients wait for one batch, then send at once) is split, so that the stages of its batches overlap.
    const share = Math.max(batchMinCommands, Math.ceil(this.#gathering.length / this.#limits.batchesInFlight));
    let count = 0;
    let bytes = 0;
    for (const { command } of this.#gathering) {
      const more = command.length + overheadBytes;
      if (count > 0 && (bytes + more > batchMaxBytes || count >= Math.min(share, batchMaxCommands))) break;
      bytes += more;
      count += 1;
    }
    if (count === this.#gathering.length) return this.#takeAll();
    const taken = this.#gathering.slice(0, count);
    this.#gathering = this.#gathering.slice(count);
    this.#gatheringBytes -= bytes - count * overheadBytes;
    return taken;
  }
}

/** What became of the commands of a batch, and what to do next. */
function dropError(reason: DropReason): CairnError {
  switch (reason) {
    case 'steppedDown':
      return new CairnError(
        'UNKNOWN_OUTCOME',
        'the leader stepped down before the command was committed; retry with the same id',
      );
    case 'queueFull':
      return new CairnError('BUSY', 'too much is waiting to be committed; try again later');
    case 'tooLarge':
      return new CairnError('TOO_LARGE', 'the command is larger than the log takes');
    case 'changeInProgress':
      return new CairnError('BUSY', 'leadership is being handed over; try again at once');
    default:
      return notLeader();
  }
}
