/**
 * Reads by any master, of what it has applied (GFS §5.1.3): fit for whoever would rather have something a little old than nothing. How old it can
 * be is known, not guessed: this master asks the leader from time to time how far the log was committed. Once it has applied that much, it has
 * everything that was acknowledged before it *asked*; no other clock than its own is needed for that.
 */
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import type { masterCalls } from '../../core/protocol/master-calls.ts';
import { show } from '../../core/protocol/paths.ts';
import { Waits } from '../rpc/waits.ts';
import * as reads from './reads.ts';
import { hasNames, isThere } from './state/copies.ts';
import { lookup } from './state/resolve.ts';
import type { Tables } from './state/tables.ts';

type Shadow = (typeof masterCalls)['shadow'];
type Ask = RequestOf<Shadow>['ask'];
type Answer = ResponseOf<Shadow>['answer'];

const refreshMs = 500;
/** How long a read that asks for something fresher waits for it, and how many may. */
const freshenMs = 300;
const waitsMax = 10_000;
/** Answers of the leader that this master has not caught up with; with so many it asks no more until it has reached one. */
const marksMax = 64;

export interface ShadowWorld {
  readonly env: Env;
  readonly tables: () => Tables;
  readonly appliedIndex: () => number;
  /** Up to where the log was committed when the leader answered, or later. @throws CairnError while nobody is known to lead */
  askLeader(): Promise<number>;
}

interface Mark {
  readonly askedAt: number;
  readonly index: number;
}

export class ShadowReads {
  readonly #world: ShadowWorld;
  /** In the order of the answers, those that are not reached yet. */
  #marks: Mark[] = [];
  /** All that was acknowledged by then is applied here. */
  #asOf: number | undefined;
  /** When it was looked at last. */
  #applied = 0;
  #timer: Timer | undefined;
  #asking: Promise<void> | undefined;
  #isStopped = false;
  /** Reads that wait until something fresher is known here. */
  readonly #waits: Waits<'fresher', true>;

  constructor(world: ShadowWorld) {
    this.#world = world;
    this.#waits = new Waits(world.env, waitsMax);
  }

  start(): void {
    void this.#refresh();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#waits.failAll(new CairnError('UNAVAILABLE', 'this master is stopping; ask another'));
  }

  /** More of the log is applied here than before. */
  applied(): void {
    this.#waits.changed('fresher');
  }

  /** At most; undefined while nothing is known. */
  get ageMs(): number | undefined {
    this.#advance();
    return this.#asOf === undefined ? undefined : this.#world.env.clock.now() - this.#asOf;
  }

  /** Takes in the marks that are reached. */
  #advance(): void {
    const applied = this.#world.appliedIndex();
    if (applied < this.#applied) this.#forget();
    this.#applied = applied;
    const reached = this.#marks.findLastIndex(({ index }) => index <= applied);
    if (reached >= 0) {
      // a question asked earlier may have been answered later: what is here has not grown older by that
      this.#asOf = Math.max(this.#asOf ?? 0, this.#marks[reached]!.askedAt);
      this.#marks = this.#marks.slice(reached + 1);
    }
  }

  /** This master has begun anew, with less. */
  #forget(): void {
    this.#marks = [];
    this.#asOf = undefined;
  }

  /**
   * What is too old is made fresher first, if that goes at once.
   * @throws CairnError TOO_OLD; UNAVAILABLE for what a file snapshot has not laid out yet; what the read throws
   */
  async read({ maxAgeMs, ask }: RequestOf<Shadow>): Promise<ResponseOf<Shadow>> {
    if (!this.#isWithin(maxAgeMs)) await this.#freshen(maxAgeMs);
    const { ageMs } = this;
    if (ageMs === undefined || !this.#isWithin(maxAgeMs)) throw tooOld(ageMs, maxAgeMs);
    return { ageMs, answer: this.#answer(ask) };
  }

  #isWithin(maxAgeMs: number): boolean {
    return (this.ageMs ?? Number.POSITIVE_INFINITY) <= maxAgeMs;
  }

  /** Asks the leader, and waits until what it says is applied, for a moment. @throws CairnError BUSY */
  async #freshen(maxAgeMs: number): Promise<void> {
    let isAsking = true;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    void this.#asking.then(() => {
      isAsking = false;
      this.#waits.changed('fresher');
    });
    await this.#waits.wait('fresher', freshenMs, (isOver) => {
      const isInVain = isOver || (!isAsking && this.#marks.length === 0);
      return isInVain || this.#isWithin(maxAgeMs) ? true : undefined;
    });
  }

  #answer(ask: Ask): Answer {
    const world = { tables: this.#world.tables(), hasSession: () => true };
    if (ask.kind === 'locate') return { kind: 'locate', ...reads.locate(world, ask) };
    if (!isThere(world.tables, ask.path)) throw notLaidOut(ask.path);
    if (ask.kind === 'stat') return { kind: 'stat', attributes: reads.stat(world, ask) };
    const page = reads.readdir(world, ask);
    mustBeLaidOut(world.tables, ask, page.more ? page.entries.at(-1)?.name : undefined);
    return { kind: 'readdir', ...page };
  }

  async #refresh(): Promise<void> {
    await this.#ask();
    if (this.#isStopped) return;
    this.#timer = this.#world.env.clock.after(refreshMs, () => void this.#refresh());
  }

  async #ask(): Promise<void> {
    const { env } = this.#world;
    const askedAt = env.clock.now();
    try {
      const index = await this.#world.askLeader();
      this.#advance(); // nobody else may: there may be no reads for long
      if (this.#marks.length < marksMax) this.#marks.push({ askedAt, index });
    } catch (thrown) {
      if (!(thrown instanceof CairnError)) throw thrown;
      // Nobody leads, or cannot be reached: what is here grows older, and says so.
    }
  }
}

function mustBeLaidOut(tables: Tables, { path, after }: Extract<Ask, { kind: 'readdir' }>, last: string | undefined) {
  const directory = lookup(tables, path);
  if (tables.counters.copies === 0 || !directory.ok) return;
  if (!hasNames(tables, directory.value.inode, after, last)) throw notLaidOut(path);
}

function notLaidOut(path: string): CairnError {
  return new CairnError(
    'UNAVAILABLE',
    `${show(path)} is in a snapshot that is being laid out; wait a moment, or ask without --stale`,
  );
}

function tooOld(ageMs: number | undefined, maxAgeMs: number): CairnError {
  const age = ageMs === undefined ? 'of an age that is not known' : `${Math.ceil(ageMs)} ms old`;
  return new CairnError(
    'TOO_OLD',
    `what this master has is ${age}, and at most ${maxAgeMs} ms were asked for; allow more, or ask without --stale`,
  );
}
