/**
 * One direction of a connection, as TCP gives it: bytes leave a queue of the sender into a window, travel, arrive in order
 * or not at all, and take up the window until the receiver consumes them. Bytes are copied when they leave, not before:
 * a sender that changes them too early sends what he changed.
 *
 * A blocked path holds what arrives; it comes through some time after the path is free again. While the way back is
 * blocked no consumption is acknowledged, so the window fills.
 */
import type { SimEvent, SimKernel } from './kernel.ts';
import type { NetworkSettings, Path, PathUser } from './path.ts';
import type { SimRandom } from './random.ts';

/** Per frame on the wire: two lengths. */
export const frameOverheadBytes = 8;
/** In `Segment.runs`, in place of a body's length: this run belongs to a body. */
export const bodyRun = -1;

/** How often a closing sender takes what is still queued with it. */
const unflushedCloseRate = 1 / 8;

export type Segment =
  /**
   * Bytes of frames. `runs` has two numbers per run of bytes: its length, and the length of the body that follows the
   * head that it is; or `bodyRun`.
   */
  | { readonly kind: 'data'; readonly bytes: Uint8Array; readonly runs: readonly number[]; readonly weight: number }
  | { readonly kind: 'established' }
  | { readonly kind: 'close'; readonly reason: string };

export interface PipeEnds {
  /** A segment is at the receiver's machine. */
  arrived(segment: Segment): void;
  /** Room in the queue of the sender. */
  departed(): void;
  /** The path broke the connection. */
  broken(): void;
  /** Nothing comes through any more; it does again. */
  blocked(): void;
  freed(): void;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  /** As in `Segment.runs`. */
  readonly body: number;
  taken: number;
}

export class Pipe implements PathUser {
  readonly path: Path;
  readonly #back: Path;
  readonly #kernel: SimKernel;
  readonly #random: SimRandom;
  readonly #settings: NetworkSettings;
  readonly #ends: PipeEnds;
  #queue: Outgoing[] = [];
  #first = 0;
  #queuedBytes = 0;
  #isOpen = false;
  #departure: SimEvent | undefined;
  readonly #transit: Segment[] = [];
  #heldCount = 0;
  #blockedAtUs = 0;
  #stalledUntilUs = 0;
  #lastArrivalUs = 0;
  #freeAtUs = 0;
  #windowUsed = 0;
  #uncredited = 0;

  constructor(
    kernel: SimKernel,
    random: SimRandom,
    settings: NetworkSettings,
    ways: { readonly there: Path; readonly back: Path },
    ends: PipeEnds,
  ) {
    this.#kernel = kernel;
    this.#random = random;
    this.#settings = settings;
    this.path = ways.there;
    this.#back = ways.back;
    this.#ends = ends;
    this.path.users.add(this);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  // -------------------------------------------------------------- the sender's end

  /** The connection is established: what is queued may leave. */
  open(): void {
    this.#isOpen = true;
    this.#plan();
  }

  /** @param body the length of the body that follows this head, or `bodyRun` for bytes of it. */
  push(bytes: Uint8Array, body: number): void {
    this.#queue.push({ bytes, body, taken: 0 });
    this.#queuedBytes += bytes.length + (body === bodyRun ? 0 : frameOverheadBytes);
    this.#plan();
  }

  /** What fits into the window mostly leaves before a close, but nobody may count on it. */
  flushBeforeClose(): void {
    if (this.#isOpen && !this.#random.chance(unflushedCloseRate)) this.#leave();
  }

  /** Nothing more is sent; the peer hears of it behind what has left. What is still queued is dropped. */
  shut(reason: string): void {
    this.#isOpen = false;
    this.#queue = [];
    this.#first = 0;
    this.#queuedBytes = 0;
    if (this.#departure !== undefined) this.#kernel.cancel(this.#departure);
    this.#departure = undefined;
    this.#send({ kind: 'close', reason }, 0);
  }

  /** As `shut`, by the death of the sender: of what is under way, the later part may be lost with it. */
  cut(reason: string): void {
    const kept = this.#random.between(this.#heldCount, this.#transit.length);
    while (this.#transit.length > kept) this.#transit.pop();
    this.shut(reason);
  }

  establish(): void {
    this.#send({ kind: 'established' }, 0);
    this.open();
  }

  /** The connection is gone at both ends. */
  discard(): void {
    this.path.users.delete(this);
    this.#transit.length = 0;
    this.#heldCount = 0;
  }

  // -------------------------------------------------------------- the receiver's end

  /** The receiver has consumed this much. */
  credit(bytes: number): void {
    if (this.#back.isBlocked) {
      this.#uncredited += bytes;
      return;
    }
    this.#windowUsed -= bytes;
    this.#plan();
  }

  // -------------------------------------------------------------- the way

  pathBlocked(): void {
    this.#blockedAtUs = this.#kernel.nowUs;
    this.#ends.blocked();
  }

  pathFreed(): void {
    const outageUs = this.#kernel.nowUs - this.#blockedAtUs;
    const mostUs = Math.min(outageUs, this.#settings.retransmitMaxMs * 1000);
    this.stallFor(this.#random.between(0, mostUs));
    this.#ends.freed();
  }

  /** The way back is free again: acknowledgements come through. */
  backFreed(): void {
    const bytes = this.#uncredited;
    this.#uncredited = 0;
    if (bytes > 0) this.credit(bytes);
  }

  /** What has not arrived yet does so this much later at the earliest. */
  stallFor(spanUs: number): void {
    this.#stalledUntilUs = Math.max(this.#stalledUntilUs, this.#kernel.nowUs + spanUs);
    this.#kernel.schedule(undefined, this.#stalledUntilUs, 'kernel', () => this.#releaseHeld());
  }

  #plan(): void {
    if (!this.#isOpen || this.#departure !== undefined || this.#first === this.#queue.length) return;
    if (this.#windowUsed >= this.#settings.windowBytes) return;
    const atUs = this.#kernel.nowUs + this.#random.below(this.#settings.departureMaxUs + 1);
    this.#departure = this.#kernel.schedule(undefined, atUs, 'kernel', () => this.#depart());
  }

  #depart(): void {
    this.#departure = undefined;
    this.#leave();
    this.#ends.departed();
  }

  #leave(): void {
    while (this.#first < this.#queue.length && this.#windowUsed < this.#settings.windowBytes) {
      const segment = this.#cutSegment();
      this.#windowUsed += segment.weight;
      this.#send(segment, segment.weight);
    }
    if (this.#first === this.#queue.length) {
      this.#queue = [];
      this.#first = 0;
    }
  }

  /** Takes the next bytes from the queue, whole heads and parts of bodies, at least one run. */
  #cutSegment(): Segment & { kind: 'data' } {
    const limit = this.#drawSegmentBytes();
    const runs: number[] = [];
    const parts: Uint8Array[] = [];
    let size = 0;
    let weight = 0;
    while (this.#first < this.#queue.length) {
      const item = this.#queue[this.#first]!;
      const left = item.bytes.length - item.taken;
      const take = item.body === bodyRun ? Math.min(left, Math.max(1, limit - size)) : left;
      if (runs.length > 0 && size + take > limit) break;
      parts.push(item.taken === 0 && take === left ? item.bytes : item.bytes.subarray(item.taken, item.taken + take));
      runs.push(take, item.body);
      size += take;
      weight += take + (item.body === bodyRun ? 0 : frameOverheadBytes);
      item.taken += take;
      if (take === left) this.#first += 1;
    }
    this.#queuedBytes -= weight;
    return { kind: 'data', bytes: concatenate(parts, size), runs, weight };
  }

  /** Mostly as much as fits; often less; now and then next to nothing, so that bodies come in many pieces. */
  #drawSegmentBytes(): number {
    const most = this.#settings.segmentMaxBytes;
    const draw = this.#random.below(16);
    if (draw === 0) return this.#random.between(1, 64);
    return draw < 6 ? this.#random.between(64, most) : most;
  }

  #send(segment: Segment, bytes: number): void {
    const { nowUs } = this.#kernel;
    this.#freeAtUs = Math.max(this.#freeAtUs, nowUs) + (bytes / this.path.bytesPerMs) * 1000;
    this.#lastArrivalUs = Math.max(this.#lastArrivalUs, Math.ceil(this.#freeAtUs) + this.path.latencyUs());
    this.#transit.push(segment);
    this.#kernel.schedule(undefined, this.#lastArrivalUs, 'kernel', () => this.#arrive());
  }

  #arrive(): void {
    if (this.#transit.length === this.#heldCount) return;
    if (this.#random.chance(this.path.resetRate)) {
      this.#ends.broken();
      return;
    }
    if (this.#random.chance(this.path.lossRate))
      this.stallFor(this.#random.below(this.#settings.retransmitMaxMs * 1000));
    this.#heldCount += 1;
    this.#releaseHeld();
  }

  #releaseHeld(): void {
    if (this.path.isBlocked || this.#kernel.nowUs < this.#stalledUntilUs) return;
    while (this.#heldCount > 0) {
      this.#heldCount -= 1;
      this.#ends.arrived(this.#transit.shift()!);
    }
  }
}

function concatenate(parts: readonly Uint8Array[], size: number): Uint8Array {
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
