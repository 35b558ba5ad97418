/**
 * One direction between two nodes: how long bytes take, and whether they get through at all. Connections run over a pair
 * of paths. Faults of the network are set on paths, so that they can be of one direction and of some pairs only.
 */
import type { SimRandom } from './random.ts';

export interface NetworkSettings {
  /** Time of a segment on its way: at least `latencyUs[0]`, mostly below `latencyUs[1]`, now and then up to [2]. */
  readonly latencyUs: readonly [number, number, number];
  readonly bytesPerMs: number;
  /** Bytes of one direction of a connection that have left the sender and are not yet consumed. */
  readonly windowBytes: number;
  /** The most bytes that are delivered in one event. */
  readonly segmentMaxBytes: number;
  /** `send` returns false while more than this waits in its connection. */
  readonly sendQueueMaxBytes: number;
  /** Over this, the connection is closed: its peer does not read and its user does not wait. */
  readonly sendQueueHardMaxBytes: number;
  /** The sender's turn: bytes leave up to this much later than they were sent. */
  readonly departureMaxUs: number;
  /** A connection that nothing comes through for this long is closed at both ends. */
  readonly keepAliveMs: number;
  readonly connectTimeoutMs: number;
  /** How long an unanswered attempt to connect waits before it is repeated. */
  readonly connectRetryMs: number;
  /** The most that lost bytes wait for their retransmission after the way is free again. */
  readonly retransmitMaxMs: number;
  /** Overwrite received bytes after the call that hands them over, so that who kept them without a copy notices. */
  readonly poisonDelivered: boolean;
}

export const defaultNetwork: NetworkSettings = {
  latencyUs: [30, 200, 2_000],
  bytesPerMs: 1_000_000,
  windowBytes: 256 * 1024,
  segmentMaxBytes: 64 * 1024,
  sendQueueMaxBytes: 4 * 1024 * 1024,
  sendQueueHardMaxBytes: 256 * 1024 * 1024,
  departureMaxUs: 20,
  keepAliveMs: 15_000,
  connectTimeoutMs: 10_000,
  connectRetryMs: 1_000,
  retransmitMaxMs: 1_000,
  poisonDelivered: true,
};

/** One segment in so many is a late one. */
const lateOneIn = 64;

/** What a connection's direction hears of its path. */
export interface PathUser {
  pathBlocked(): void;
  pathFreed(): void;
}

export class Path {
  readonly from: string;
  readonly to: string;
  readonly users = new Set<PathUser>();
  /** Added to each segment's time: a slow link. */
  extraLatencyUs = 0;
  bytesPerMs: number;
  /** Probability per segment that it is lost and waits for its retransmission; that the connection breaks. */
  lossRate = 0;
  resetRate = 0;
  readonly #settings: NetworkSettings;
  readonly #random: SimRandom;
  #blocks = 0;

  constructor(from: string, to: string, settings: NetworkSettings, random: SimRandom) {
    this.from = from;
    this.to = to;
    this.#settings = settings;
    this.#random = random;
    this.bytesPerMs = settings.bytesPerMs;
  }

  get isBlocked(): boolean {
    return this.#blocks > 0;
  }

  /** Nothing comes through any more, and nobody is told; as often as it is blocked it must be freed. */
  block(): void {
    this.#blocks += 1;
    if (this.#blocks === 1) for (const user of [...this.users]) user.pathBlocked();
  }

  unblock(): void {
    this.#blocks -= 1;
    if (this.#blocks === 0) for (const user of [...this.users]) user.pathFreed();
  }

  latencyUs(): number {
    const [least, usual, most] = this.#settings.latencyUs;
    const bound = this.#random.below(lateOneIn) === 0 ? most : usual;
    return this.extraLatencyUs + this.#random.between(least, bound);
  }

  /** Ends slowness and losses; blocks belong to those who set them. */
  healRates(): void {
    this.extraLatencyUs = 0;
    this.bytesPerMs = this.#settings.bytesPerMs;
    this.lossRate = 0;
    this.resetRate = 0;
  }
}
