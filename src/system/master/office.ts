/**
 * The leader's office on this master: taken when the engine leads and everything of earlier leaders is applied, given up when it leads no
 * more. Calls for the leader wait here while it begins.
 */
import type { Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { Leadership, Replica } from '../rsm/replica.ts';
import { Departures } from './departures.ts';
import { Heartbeats } from './heartbeats.ts';
import { Leader } from './leader.ts';
import type { Keeper } from './membership/keeper.ts';
import type { MasterTiming } from './options.ts';
import { stoppedLeading } from './refusal.ts';
import { RemovedLately } from './removed-lately.ts';
import { type Command, decodeResult, doneResult, encodeCommand } from './state/commands.ts';
import type { MetadataMachine } from './state/metadata-machine.ts';

/** Calls that wait for this master's leadership to be established. */
export const callsWaitingMax = 16_384;
const beginAgainMs = 20;

interface LeaderWaiter {
  readonly resolve: (leader: Leader) => void;
  readonly reject: (error: CairnError) => void;
}

export interface OfficeWorld {
  readonly env: Env;
  /** Configured. */
  readonly id: number;
  readonly timing: MasterTiming;
  readonly machine: MetadataMachine;
  replica(): Replica | undefined;
  /** What a leader proposes before all else, one after another; to be repeated until it has succeeded once. */
  opening(): readonly Command[];
  keeper(leader: Leader): Keeper;
  /** See LeaderWorld. */
  agreedTime(): Promise<number | undefined>;
  onFailure(error: CairnError): void;
}

export class Office {
  readonly #world: OfficeWorld;
  readonly #removedLately: RemovedLately;
  readonly #departures: Departures;
  #leader: Leader | undefined;
  #heartbeats: Heartbeats | undefined;
  #keeper: Keeper | undefined;
  /** Leading, not yet established. */
  #isBeginning = false;
  #waiting: LeaderWaiter[] = [];
  #term = 0;
  #isClosed = false;

  constructor(world: OfficeWorld) {
    this.#world = world;
    this.#removedLately = new RemovedLately(world.env.clock);
    this.#departures = new Departures(world.env, world.timing.rejoinAfterMs);
    world.machine.chunkRemoved = (handle, chunk) => {
      this.#removedLately.note(handle, chunk);
      this.#leader?.chunkRemoved(handle, chunk);
    };
    world.machine.setChanged = (...change) => this.#departures.note(...change);
    world.machine.wasReplaced = () => this.#departures.beginAnew();
    world.machine.chunksCutOff = (file) => this.#leader?.cutChunks.cutOff(file);
  }

  get leader(): Leader | undefined {
    return this.#leader;
  }
  /** @throws CairnError NOT_LEADER */
  get heartbeats(): Heartbeats {
    if (this.#heartbeats === undefined) throw stoppedLeading();
    return this.#heartbeats;
  }
  /** @throws CairnError NOT_LEADER */
  get keeper(): Keeper {
    if (this.#keeper === undefined) throw stoppedLeading();
    return this.#keeper;
  }

  leadershipChanged({ leading, established, term }: Leadership): void {
    if (this.#isClosed) return;
    if (!leading || term !== this.#term) this.#giveUp();
    this.#term = term;
    if (!leading) return;
    if (established && !this.#isBeginning && this.#leader === undefined) void this.#begin(term);
  }

  rosterChanged(): void {
    this.#keeper?.look();
  }

  /** The leader in office here, waited for while it begins. @throws CairnError NOT_LEADER, BUSY */
  leading(): Leader | Promise<Leader> {
    if (this.#leader !== undefined) return this.#leader;
    if (this.#world.replica()?.leadership.leading !== true || this.#isClosed) throw stoppedLeading();
    if (this.#waiting.length >= callsWaitingMax)
      throw new CairnError('BUSY', 'this master has just been elected and is overrun; try again later');
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close(): void {
    this.#isClosed = true;
    this.#giveUp();
  }

  /** Once everything of earlier leaders is applied, and the cluster is initialised. */
  async #begin(term: number): Promise<void> {
    const { env, onFailure } = this.#world;
    this.#isBeginning = true;
    try {
      // Opening may be under way still: `onLeadership` can come before `open` has returned.
      await new Promise<void>((resolve) => env.clock.soon(resolve));
      const refused = await this.#open(this.#world.replica()!);
      if (refused !== undefined) onFailure(refused);
      else if (!this.#isClosed && this.#term === term && this.#world.replica()!.leadership.established)
        this.#take(term);
    } catch (thrown) {
      const { code, message } = toCairnError(thrown);
      env.events.emit('warn', 'leading_not_begun', { term, code, why: message });
    } finally {
      this.#isBeginning = false;
    }
    if (this.#leader === undefined) this.#tryAgain();
  }

  async #open(replica: Replica): Promise<CairnError | undefined> {
    await replica.barrier();
    for (const command of this.#world.opening()) {
      const done = decodeResult(doneResult, await replica.executeInternal(encodeCommand(command)));
      if (!done.ok) return new CairnError(done.code, done.message);
    }
    return undefined;
  }

  /** Leadership may have been lost, or lost and won again, or the log was overrun. */
  #tryAgain(): void {
    this.#refuseWaiting();
    this.#world.env.clock.after(beginAgainMs, () => {
      const { leading, established, term } = this.#world.replica()!.leadership;
      const isDue = leading && established && this.#leader === undefined && !this.#isBeginning;
      if (isDue && !this.#isClosed) void this.#begin(term);
    });
  }

  #take(term: number): void {
    const { env, id, timing, machine, replica } = this.#world;
    const known = { removedLately: this.#removedLately, departures: this.#departures };
    const leader = new Leader(env, timing, replica()!, machine, known, () => this.#world.agreedTime());
    this.#leader = leader;
    this.#heartbeats = new Heartbeats(leader);
    this.#keeper = this.#world.keeper(leader);
    env.events.emit('info', 'master_leads', { master: id, term });
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(leader);
    this.#keeper.look();
  }

  #giveUp(): void {
    const leader = this.#leader;
    this.#keeper?.stop();
    this.#leader = undefined;
    this.#heartbeats = undefined;
    this.#keeper = undefined;
    leader?.stop();
    if (leader !== undefined) this.#world.env.events.emit('warn', 'master_leads_no_more', { master: this.#world.id });
    this.#refuseWaiting();
  }

  #refuseWaiting(): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(stoppedLeading());
  }
}
