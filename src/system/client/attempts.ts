/** The time that one operation has, and the pauses between its attempts: growing, with jitter, never past the deadline. */
import type { Env } from '../../core/base/env.ts';
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import type { GivenUp } from '../rpc/leader-channel.ts';
import { isDoubtful } from './failures.ts';

const backOffMinMs = 10;
const backOffMaxMs = 250;

export class Attempts {
  readonly #env: Env;
  readonly #until: number;
  readonly #deadlineMs: number;
  #backOff = backOffMinMs;
  readonly #givenUp: GivenUp;
  /** An attempt may have taken effect without our knowing. */
  #outcomeUnknown = false;
  /** A full or broken disk that an attempt has met: what the cluster tries in its place may fail for no better reason. */
  #disk: CairnError | undefined;

  constructor(env: Env, deadlineMs: number, since: number = env.clock.now(), givenUp: GivenUp = () => undefined) {
    this.#env = env;
    this.#deadlineMs = deadlineMs;
    this.#until = since + deadlineMs;
    this.#givenUp = givenUp;
  }

  /** At least 1. */
  get leftMs(): number {
    return Math.max(1, this.#until - this.#env.clock.now());
  }
  get isOver(): boolean {
    return this.#env.clock.now() >= this.#until;
  }

  /**
   * To be asked before each attempt at a change: whoever has been told that it is over may have changed the same since.
   * @throws CairnError why its caller has given it up
   */
  mustBeWanted(): void {
    const why = this.#givenUp();
    if (why !== undefined) throw why;
  }

  /** To be told of each failed attempt. @throws CairnError what is to be reported, if there will be no other attempt */
  failed(what: string, error: CairnError, mutates: boolean): void {
    if (mutates && isDoubtful(error)) this.#outcomeUnknown = true;
    if (isOfDisk(error)) this.#disk = error;
    if (error.retry === 'never') throw error;
    if (this.isOver) throw this.giveUp(what, error);
  }

  /** Waits before the next attempt. */
  pause(): Promise<void> {
    const { clock, random } = this.#env;
    const ms = Math.min(this.#backOff * (0.5 + random.next() / 2), this.leftMs);
    this.#backOff = Math.min(this.#backOff * 2, backOffMaxMs);
    return new Promise((resolve) => clock.after(ms, resolve));
  }

  /** What is to be reported when no other attempt is made. */
  giveUp(what: string, error: CairnError): CairnError {
    // That the caller's bytes are wrong by now says nothing of what became of them before.
    if (error.retry === 'never' && !(this.#outcomeUnknown && error.code === 'INVALID_ARGUMENT')) return error;
    const isOfNoUse = error.retry === 'relocate' || error.code === 'NO_SERVERS';
    const last = isOfNoUse ? (this.#disk ?? error) : error;
    const fate = this.#outcomeUnknown ? '; it may have taken effect all the same' : '';
    return new CairnError(
      this.#finalCode(last),
      `${what} did not succeed within ${Math.round(this.#deadlineMs)} ms (${last.code}: ${last.message})${fate}; look at \`cairn status\` and try again`,
      { cause: last, hint: last.hint },
    );
  }

  /** What a cluster says to itself means nothing to callers; a full or broken disk does. */
  #finalCode(last: CairnError): ErrorCode {
    if (isOfDisk(last)) return last.code;
    if (this.#outcomeUnknown) return 'TIMED_OUT';
    return last.retry === 'later' ? last.code : 'UNAVAILABLE';
  }
}

function isOfDisk({ code }: CairnError): boolean {
  return code.startsWith('DISK_');
}
