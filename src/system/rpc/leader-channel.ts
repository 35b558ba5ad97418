/**
 * Calls to whichever master leads. Follows hints, tries the masters in turn, backs off with jitter, and gives up at a
 * deadline with a clear error, which tells whether what was asked may have taken effect. Every call through it must be safe to
 * repeat: a read, or a command with a CommandId. Masters come and go: the channel learns of them from greetings and hints.
 */
import { type Address, toAddress } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import type { CallTable, RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import type { Handlers } from './handlers.ts';
import { RpcConnection } from './rpc-connection.ts';

const backOffMinMs = 10;
const backOffMaxMs = 250;
/** Hints followed in a row without a pause: masters that do not know better may point at each other. */
const hintsInARowMax = 3;
/** The caller knows what to do about these; another master would say the same. */
const aboutChunks: ReadonlySet<ErrorCode> = new Set(['NOT_PRIMARY', 'STALE_VERSION', 'CHUNK_CUT', 'CHUNK_MISSING']);
/** Said by who leads: to be asked there again. */
const fromTheLeader: ReadonlySet<ErrorCode> = new Set(['BUSY', 'NO_SERVERS', 'UNAVAILABLE']);
/** One attempt at one master; a master that is stopped, or cut off, costs this much. */
const attemptDefaultMs = 700;
/** A master that did not answer is not believed to lead for so long, whoever says so: those it was cut off from may not know yet. */
const silenceMs = 1000;
/** Addresses known at a time. */
const mastersMax = 64;

export interface LeaderChannelOptions<Out extends CallTable, In extends CallTable> {
  readonly env: Env;
  readonly masters: readonly Address[];
  readonly calls: Out;
  readonly incoming?: { readonly calls: In; readonly handlers: Handlers<In> };
  /** Within this time a call succeeds or throws. */
  readonly deadlineMs: number;
  /**
   * Called on each new connection before other calls use it (a chunkserver registers). May return where all masters are now: they take
   * the place of those known before.
   */
  readonly greet?: (rpc: RpcConnection<Out>) => Promise<readonly Address[] | void>;
}

/** Why nobody waits for something any more, if that is so. */
export type GivenUp = () => CairnError | undefined;

export interface ChannelCallOptions {
  /** Within this time it succeeds or throws; as the channel's if not given. */
  readonly deadlineMs?: number | undefined;
  /** One attempt: longer than the default for a call that the leader answers only after waiting for something. */
  readonly attemptMs?: number | undefined;
  /** What is given up is not tried again: its caller may have asked for the contrary since. */
  readonly givenUp?: GivenUp | undefined;
  /** Nobody minds whether it took effect or not: a read, or what is asked for again anyway. It is never UNKNOWN_OUTCOME. */
  readonly isHarmless?: boolean | undefined;
}

export class LeaderChannel<Out extends CallTable, In extends CallTable> {
  readonly #options: LeaderChannelOptions<Out, In>;
  #masters: readonly Address[];
  #target: Address;
  #current:
    | {
        readonly address: Address;
        readonly rpc: RpcConnection<Out>;
        readonly greeted: Promise<void>;
        isGreeted: boolean;
      }
    | undefined;
  /** They greet as no master does: another kind of node, another version, another program. */
  readonly #strangers = new Set<Address>();
  #silent: { readonly address: Address; readonly since: number } | undefined;
  #closed = false;

  constructor(options: LeaderChannelOptions<Out, In>) {
    this.#options = options;
    this.#masters = options.masters;
    this.#target = options.masters[options.env.random.below(options.masters.length)]!;
  }

  /** Where the last call was answered, or the next will be tried. */
  get target(): Address {
    return this.#target;
  }

  async call<K extends keyof Out & string>(
    kind: K,
    request: RequestOf<Out[K]>,
    {
      deadlineMs = this.#options.deadlineMs,
      attemptMs = attemptDefaultMs,
      givenUp,
      isHarmless,
    }: ChannelCallOptions = {},
  ): Promise<ResponseOf<Out[K]>> {
    const { clock } = this.#options.env;
    const until = clock.now() + deadlineMs;
    let backOff = backOffMinMs;
    let hintsInARow = 0;
    /** An attempt was sent of which nobody knows what became of it. */
    let isUncertain = false;
    for (;;) {
      if (this.#closed) throw new CairnError('ABORTED', `${kind}: the client is closed`);
      const why = givenUp?.();
      if (why !== undefined) throw why;
      const sentAt = clock.now();
      const left = until - sentAt;
      const tried = this.#target;
      let isSent = false;
      try {
        const rpc = this.#ready() ?? (await this.#connection());
        isSent = true;
        return (await rpc.call(kind, request, { timeoutMs: Math.max(1, Math.min(left, attemptMs)) })).response;
      } catch (thrown) {
        const error = toCairnError(thrown);
        if (!isSent && error.code === 'PROTOCOL') {
          this.#passBy(tried, error);
          continue;
        }
        if (error.retry === 'never' || aboutChunks.has(error.code)) throw error;
        if (isSent && isHarmless !== true && error.retry === 'unknown') isUncertain = true;
        const now = clock.now();
        // A leader that has waited before it refused would not be done this time: the outcome would be unknown for nothing.
        const isTooLate = fromTheLeader.has(error.code) && until - now < now - sentAt;
        if (now >= until || isTooLate) throw this.#giveUp(deadlineMs, error, isUncertain);
        const hinted = this.#follow(tried, error);
        hintsInARow = hinted ? hintsInARow + 1 : 0;
        if (!hinted || hintsInARow > hintsInARowMax) {
          await this.#pause(Math.min(backOff, Math.max(1, until - clock.now())));
          backOff = Math.min(backOff * 2, backOffMaxMs);
        }
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#current?.rpc.close('closed by its owner');
  }

  /** Drops the connection in use: the next call opens another. */
  reconnect(reason: string): void {
    this.#current?.rpc.close(reason);
    this.#current = undefined;
  }

  /** The connection in use, if nothing need be waited for. */
  #ready(): RpcConnection<Out> | undefined {
    const inUse = this.#current;
    if (inUse === undefined || !inUse.isGreeted || inUse.rpc.isClosed) return undefined;
    return inUse.address === this.#target ? inUse.rpc : undefined;
  }

  async #connection(): Promise<RpcConnection<Out>> {
    const inUse = this.#current;
    if (inUse !== undefined && !inUse.rpc.isClosed && inUse.address === this.#target) {
      await inUse.greeted;
      return inUse.rpc;
    }
    inUse?.rpc.close('another master leads');
    const { env, calls, incoming } = this.#options;
    const address = this.#target;
    const rpc = RpcConnection.connect(env, address, calls, incoming);
    const greeted = this.#greet(rpc, address);
    const current = { address, rpc, greeted, isGreeted: false };
    this.#current = current;
    try {
      await greeted;
      current.isGreeted = true;
    } catch (thrown) {
      // A connection that refused the greeting once would refuse it for ever: the next call greets on a new one.
      if (this.#current === current) this.#current = undefined;
      rpc.close('the greeting failed');
      throw thrown;
    }
    return rpc;
  }

  async #greet(rpc: RpcConnection<Out>, address: Address): Promise<void> {
    const masters = await this.#options.greet?.(rpc);
    this.#strangers.clear();
    if (Array.isArray(masters) && masters.length > 0) this.#masters = [...new Set([...masters, address])];
  }

  /** @throws CairnError PROTOCOL when there is nobody else */
  #passBy(stranger: Address, { message }: CairnError): void {
    this.#strangers.add(stranger);
    const others = this.#masters.filter((address) => !this.#strangers.has(address));
    if (others.length === 0) {
      this.#strangers.clear();
      throw new CairnError('PROTOCOL', `no master of this version answers at ${this.#masters.join(', ')}: ${message}`);
    }
    if (this.#target === stranger) this.#target = others[this.#options.env.random.below(others.length)]!;
  }

  /** Chooses where to try next; true if a hint says so and no pause is needed. */
  #follow(tried: Address, error: CairnError): boolean {
    if (this.#target !== tried) return true; // another call has moved on already
    if (fromTheLeader.has(error.code)) return false;
    if (error.code === 'TIMED_OUT') this.#silent = { address: tried, since: this.#options.env.clock.now() };
    const hint = error.code === 'NOT_LEADER' ? this.#hinted(error.hint) : undefined;
    if (hint !== undefined && hint !== tried && !this.#isSilent(hint)) {
      this.#target = hint;
      return true;
    }
    // An answer that names no leader, or none: go round.
    if (error.code === 'TIMED_OUT') this.reconnect('it does not answer');
    this.#target = this.#after(tried);
    return false;
  }

  /** The next one round that is not silent. */
  #after(tried: Address): Address {
    const at = this.#masters.indexOf(tried);
    const round = this.#masters.map((_, i) => this.#masters[(at + 1 + i) % this.#masters.length]!);
    const known = round.filter((address) => !this.#strangers.has(address));
    return known.find((address) => !this.#isSilent(address)) ?? known[0] ?? round[0]!;
  }

  #isSilent(address: Address): boolean {
    const silent = this.#silent;
    return silent?.address === address && this.#options.env.clock.now() - silent.since < silenceMs;
  }

  /** A leader of whom nobody had told before has joined the others. */
  #hinted(hint: string): Address | undefined {
    const known = this.#masters.find((address) => address === hint);
    if (known !== undefined || hint === '' || this.#masters.length >= mastersMax) return known;
    const address = toAddress(hint);
    this.#masters = [...this.#masters, address];
    return address;
  }

  #giveUp(deadlineMs: number, last: CairnError, isUncertain: boolean): CairnError {
    const span = deadlineMs < 1000 ? `${Math.round(deadlineMs)} ms` : `${Math.round(deadlineMs / 100) / 10} s`;
    if (!isUncertain && fromTheLeader.has(last.code))
      return new CairnError(last.code, `for ${span} it was so: ${last.message}`, { cause: last });
    const why = `no master could answer within ${span} (${last.message})`;
    const advice = `see that a majority of ${this.#masters.join(', ')} runs`;
    if (!isUncertain) return new CairnError('NO_QUORUM', `${why}; ${advice}`, { cause: last });
    return new CairnError(
      'UNKNOWN_OUTCOME',
      `${why}; what was asked may have taken effect, or may yet: ${advice}, then look`,
      {
        cause: last,
      },
    );
  }

  #pause(ms: number): Promise<void> {
    const { clock, random } = this.#options.env;
    return new Promise((resolve) => clock.after(ms * (0.5 + random.next() / 2), resolve));
  }
}
