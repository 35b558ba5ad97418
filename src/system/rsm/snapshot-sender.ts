/**
 * The sending end of snapshots. A transfer outlives broken connections: the part that failed is sent again for a while; after that the
 * frozen state is kept for a while longer, and the next attempt for the same peer goes on with it, at the part that the peer wants. A state of
 * which nothing has arrived is not kept: the next attempt begins with a newer one.
 */
import type { NodeId } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import type { SnapshotPoint } from '../../core/consensus/engine.ts';
import type { FrozenStore, Pair } from '../storage/ordered-store.ts';
import { encodePoint } from './point.ts';
import { encodePairs, type SendPart } from './snapshot-transfer.ts';

const partBytes = 64 * 1024;
/** Between attempts to send one part, at first; and the longest pause of any kind: the receiver waits for the next part for longer. */
const pauseMinMs = 100;
const pauseMaxMs = 2000;
/** How long one part is tried: the first, and one that goes on from what has arrived. */
const firstPartTriedMs = 1000;
const partTriedMs = 15_000;
/** How long a state of which something has arrived stays frozen for the next attempt. */
const keptMs = 60_000;
/**
 * How long the log that goes on from a state is kept once that is delivered, at most: its receiver takes it at a pace that spares our clients. Who
 * leads knows when it has what it needs, and lets go then.
 */
const followedMs = 60_000;
/**
 * While commands flow, a pause of so many times what a part took follows it: the transfer then costs the clients of this node, and whoever
 * shares a machine with the peer, no more than a share of their time. Without commands there is no pause, nor when the log that goes on from
 * the state becomes long: the transfer must end before the log is let go of.
 */
const pausePerPart = 6;
/** Parts that the peer has already are read over so many at a time: heartbeats must not wait for a large state. */
const skippedPerTurn = 8;
/** The peer may change its mind about where to begin, but not for ever. */
const passesMax = 8;
const passing: readonly ErrorCode[] = ['BUSY', 'UNAVAILABLE', 'CONNECTION_LOST', 'TIMED_OUT', 'CHECKSUM_MISMATCH'];

export interface SendingHost {
  readonly env: Env;
  readonly term: number;
  /** The first entry that the log still holds. */
  readonly firstIndex: number;
  readonly appliedIndex: number;
  /** The log that goes on from `index` is nearly too long to be kept. */
  isPressed(index: number): boolean;
  /** Whether the node is known to need no more than what is under way to it. */
  isNear(node: NodeId): boolean;
  freeze(): Promise<{ readonly point: SnapshotPoint; readonly frozen: FrozenStore }>;
  readonly send: SendPart;
}

interface Stream {
  readonly point: SnapshotPoint;
  readonly frozen: FrozenStore;
  kept: Timer | undefined;
  /** It is being read right now. */
  busy: boolean;
  /** The peer has taken a part of it. */
  hasArrived: boolean;
}

export class SnapshotSender {
  readonly #host: SendingHost;
  /** One for each peer at most. */
  readonly #streams = new Map<NodeId, Stream>();
  /** States that were delivered a short while ago, by receiver. */
  readonly #delivered = new Map<NodeId, { readonly index: number; readonly forgotten: Timer }>();
  readonly #sending = new Set<Promise<unknown>>();
  /** Each ends a pause before its time. */
  readonly #wakes = new Set<() => void>();
  #closed = false;

  constructor(host: SendingHost) {
    this.#host = host;
  }

  /** Entries after this index go on from a state that is on its way, or has just arrived: without them it would be in vain. */
  get neededAfter(): number {
    const onTheirWay = [...this.#streams.values()].map(({ point }) => point.index);
    for (const to of [...this.#delivered.keys()]) if (this.#host.isNear(to)) this.#forgetDelivered(to);
    const arrived = [...this.#delivered.values()].map(({ index }) => index);
    return Math.min(Number.POSITIVE_INFINITY, ...onTheirWay, ...arrived);
  }

  /** Not to be called again for a peer before it has resolved. Returns where the state stands, and whether the peer has it. */
  async send(to: NodeId, none: SnapshotPoint): Promise<{ at: SnapshotPoint; delivered: boolean }> {
    const sending = this.#send(to, none);
    this.#sending.add(sending);
    try {
      return await sending;
    } finally {
      this.#sending.delete(sending);
    }
  }

  async #send(to: NodeId, none: SnapshotPoint): Promise<{ at: SnapshotPoint; delivered: boolean }> {
    const { events } = this.#host.env;
    let stream: Stream | undefined;
    try {
      stream = await this.#open(to);
      stream.busy = true;
      await this.#deliver(to, stream);
      events.emit('info', 'snapshot_delivered', { to, index: stream.point.index });
      this.#drop(to, stream);
      this.#noteDelivered(to, stream.point.index);
      return { at: stream.point, delivered: true };
    } catch (thrown) {
      const why = toCairnError(thrown).message;
      const at = stream?.point ?? none;
      events.emit('warn', 'snapshot_not_delivered', { to, index: at.index, why });
      if (stream !== undefined) this.#keep(to, stream);
      return { at, delivered: false };
    }
  }

  #noteDelivered(to: NodeId, index: number): void {
    if (this.#closed) return;
    const forgotten = this.#host.env.clock.after(followedMs, () => this.#delivered.delete(to));
    this.#delivered.set(to, { index, forgotten });
  }

  #forgetDelivered(to: NodeId): void {
    this.#delivered.get(to)?.forgotten.cancel();
    this.#delivered.delete(to);
  }

  #keep(to: NodeId, stream: Stream): void {
    stream.busy = false;
    if (this.#closed || !stream.hasArrived) this.#drop(to, stream);
    else stream.kept = this.#host.env.clock.after(keptMs, () => this.#drop(to, stream));
  }

  /** The state that the last attempt began with, as long as the log goes on from it. */
  async #open(to: NodeId): Promise<Stream> {
    const { events } = this.#host.env;
    this.#forgetDelivered(to);
    const known = this.#streams.get(to);
    known?.kept?.cancel();
    if (known !== undefined && known.point.index + 1 >= this.#host.firstIndex) {
      events.emit('info', 'snapshot_resumed', { to, index: known.point.index });
      return known;
    }
    if (known !== undefined) this.#drop(to, known);
    const stream: Stream = { ...(await this.#host.freeze()), kept: undefined, busy: false, hasArrived: false };
    if (this.#closed) {
      stream.frozen.close();
      throw stopped();
    }
    this.#streams.set(to, stream);
    events.emit('info', 'snapshot_started', { to, index: stream.point.index });
    return stream;
  }

  #drop(to: NodeId, stream: Stream): void {
    stream.kept?.cancel();
    if (this.#streams.get(to) !== stream) return;
    this.#streams.delete(to);
    stream.frozen.close();
  }

  /** Passes over the state as often as the peer wants an earlier part than the next: once, unless it has lost what it had. */
  async #deliver(to: NodeId, stream: Stream): Promise<void> {
    let wanted = 0;
    for (let pass = 0; pass < passesMax; pass++) {
      const next = await this.#pass(to, stream, wanted);
      if (next === 'delivered') return;
      wanted = next;
    }
    throw new CairnError('ABORTED', `node ${to} has wanted the snapshot from the beginning ${passesMax} times`);
  }

  /** Sends the parts from `wanted` on. Returns the part that the peer wants instead when that is an earlier one. */
  async #pass(to: NodeId, stream: Stream, wanted: number): Promise<number | 'delivered'> {
    const { crc32 } = this.#host.env;
    const { point, frozen } = stream;
    let part = 0;
    let checksum = 0;
    let next = wanted;
    let from = this.#host.env.clock.now();
    for await (const { pairs, last } of withEnd(frozen.batches(partBytes))) {
      if (this.#closed) throw stopped();
      const bytes = encodePairs(pairs);
      checksum = crc32(bytes, checksum);
      if (part >= next) {
        const head = { index: point.index, point: encodePoint(point), part, last, checksum };
        const triedMs = stream.hasArrived ? partTriedMs : firstPartTriedMs;
        const { appliedIndex } = this.#host;
        next = await this.#sendPart(to, head, bytes, triedMs);
        stream.hasArrived = true;
        if (next <= part) return next;
        if (this.#host.appliedIndex > appliedIndex && !this.#host.isPressed(point.index))
          await this.#giveWay(this.#host.env.clock.now() - from);
      } else if (part % skippedPerTurn === 0) await new Promise<void>((resolve) => this.#host.env.clock.soon(resolve));
      from = this.#host.env.clock.now();
      part += 1;
    }
    return 'delivered';
  }

  /** After a part that took so long. */
  async #giveWay(tookMs: number): Promise<void> {
    await this.#pause(Math.min(pausePerPart * tookMs, pauseMaxMs));
  }

  /** Shorter when this is closed. */
  #pause(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#wakes.delete(wake);
        resolve();
      };
      const timer = this.#host.env.clock.after(ms, wake);
      this.#wakes.add(wake);
    });
  }

  /** Until it arrives, with pauses that grow. */
  async #sendPart(
    to: NodeId,
    head: Omit<Parameters<SendPart>[1], 'term'>,
    bytes: Uint8Array,
    triedMs: number,
  ): Promise<number> {
    const { env, send } = this.#host;
    const until = env.clock.now() + triedMs;
    for (let pauseMs = pauseMinMs; ; pauseMs = Math.min(pauseMs * 2, pauseMaxMs)) {
      if (this.#closed) throw stopped();
      try {
        return await send(to, { ...head, term: this.#host.term }, bytes);
      } catch (thrown) {
        const error = toCairnError(thrown);
        if (this.#closed || !passing.includes(error.code) || env.clock.now() >= until) throw error;
      }
      await this.#pause(pauseMs);
    }
  }

  /** Resolves when no state is read any more. A part that is on its way is waited for: whoever owns the links closes them first. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const wake of [...this.#wakes]) wake();
    for (const [to, stream] of this.#streams) if (!stream.busy) this.#drop(to, stream);
    for (const to of [...this.#delivered.keys()]) this.#forgetDelivered(to);
    await Promise.all(this.#sending);
  }
}

/** The end is a part of its own: what was frozen may be empty. */
async function* withEnd(batches: AsyncIterable<readonly Pair[]>) {
  for await (const pairs of batches) yield { pairs, last: false };
  yield { pairs: [], last: true };
}

function stopped(): CairnError {
  return new CairnError('ABORTED', 'this node stops');
}
