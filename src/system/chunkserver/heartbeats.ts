/**
 * Heartbeats to the leading master: they renew the session, report lengths, idle leases, damage and inventory, and bring back what is
 * garbage. One at a time; the next one leaves a heartbeat interval after the last, or at once while the inventory presses.
 */
import type { Address } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import type { masterCalls, serverOrders } from '../../core/protocol/master-calls.ts';
import { protocolVersion } from '../../core/protocol/types.ts';
import type { LeaderChannel } from '../rpc/leader-channel.ts';
import type { RpcConnection } from '../rpc/rpc-connection.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { Fences } from './fences.ts';
import type { Inventory, Page } from './inventory.ts';
import type { Leases } from './leases.ts';
import type { Session } from './session.ts';

type MasterCalls = typeof masterCalls;
export type MasterChannel = LeaderChannel<MasterCalls, typeof serverOrders>;

export interface HeartbeatWorld {
  readonly env: Env;
  readonly store: ChunkStore;
  readonly session: Session;
  readonly inventory: Inventory;
  readonly fences: Fences;
  readonly leases: Leases;
  readonly identity: Omit<RequestOf<MasterCalls['register']>, 'protocolVersion' | 'address'>;
  readonly drop: (garbage: ResponseOf<MasterCalls['heartbeat']>['garbage']) => void;
  /** The master refuses this server for good: the process must stop. */
  readonly onRefused: (error: CairnError) => void;
}

type SessionMark = ResponseOf<MasterCalls['heartbeat']>['session'];

interface Beat {
  readonly sentAt: number;
  /** There was no valid session when it was sent. */
  readonly isFirst: boolean;
  readonly page: Page;
}

/** Until a master has said otherwise. */
const heartbeatDefaultMs = 250;
const registerTimeoutMs = 700;
const heartbeatTimeoutMs = 2000;
const usageEveryMs = 2000;

export class Heartbeats {
  readonly #world: HeartbeatWorld;
  #channel: MasterChannel | undefined;
  #heartbeatMs = heartbeatDefaultMs;
  #session: SessionMark | undefined;
  #timer: Timer | undefined;
  #isStopped = false;
  #usage = { totalBytes: 0, freeBytes: 0 };
  #usageAt = Number.NEGATIVE_INFINITY;

  constructor(world: HeartbeatWorld) {
    this.#world = world;
  }

  start(channel: MasterChannel): void {
    this.#channel = channel;
    void this.#beat();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** For each new connection to a master. */
  async register(rpc: RpcConnection<MasterCalls>, address: Address): Promise<void> {
    const { identity, inventory } = this.#world;
    const request = { ...identity, address, protocolVersion };
    const { response } = await rpc.call('register', request, { timeoutMs: registerTimeoutMs });
    this.#heartbeatMs = response.heartbeatMs;
    inventory.beginRound();
  }

  async #beat(): Promise<void> {
    const { env, inventory } = this.#world;
    const sentAt = env.clock.now();
    let isAnswered = true;
    try {
      await this.#sendOne(sentAt);
    } catch (thrown) {
      isAnswered = false;
      this.#failed(thrown);
    }
    if (this.#isStopped) return;
    const isPressed = isAnswered && inventory.isUrgent;
    const waitMs = isPressed ? 0 : Math.max(0, sentAt + this.#heartbeatMs - env.clock.now());
    this.#timer = env.clock.after(waitMs, () => void this.#beat());
  }

  async #sendOne(sentAt: number): Promise<void> {
    const { identity, inventory, fences, leases, store, session } = this.#world;
    await this.#measureDisk(sentAt);
    if (this.#isStopped) return;
    const isFirst = !session.isValid;
    if (isFirst) inventory.doubtAll();
    const page = inventory.page(store, sentAt);
    const lengths = leases.reports();
    const damaged = inventory.damagedPage();
    const answer = await this.#channel!.call(
      'heartbeat',
      {
        server: identity.server,
        incarnation: identity.incarnation,
        usedBytes: store.usedBytes,
        ...this.#usage,
        chunks: store.chunkCount,
        lagBytes: leases.lagBytes,
        lengths: lengths.reports,
        inventory: page.held.map(({ handle, version, lengthBytes }) => ({
          handle,
          // As `drop` looks at it: what a newer primary has fenced and then left out could never be dropped under the version it holds.
          version: fences.atLeast(handle, version),
          length: lengthBytes,
        })),
        inventoryFrom: page.from,
        inventoryTo: page.to,
        damaged,
      },
      { deadlineMs: heartbeatTimeoutMs },
    );
    inventory.damageReported(damaged);
    if (answer.hasLengths) lengths.acknowledged();
    this.#answered({ sentAt, isFirst, page }, answer);
  }

  #answered({ sentAt, isFirst, page }: Beat, answer: ResponseOf<MasterCalls['heartbeat']>): void {
    const { session, inventory, leases, drop } = this.#world;
    leases.heard(answer.nextHandle);
    const isLate = !session.isValid;
    const isAnew = this.#isAnew(answer.session);
    // It lapsed on the way: the master may have counted this server out just before the heartbeat reached it.
    if ((isLate || isAnew) && !isFirst) inventory.doubtAll();
    inventory.answered(page);
    session.renew(sentAt, answer.sessionMs);
    if (isLate && session.isValid) {
      this.#world.env.events.emit('info', 'chunkserver.sessionBegan', { sessionMs: answer.sessionMs });
    }
    if (answer.garbage.length > 0) drop(answer.garbage);
  }

  /** The session had lapsed by the master's clock. By the own one it may not have, where the machine was suspended and its clock stood still. */
  #isAnew(session: SessionMark): boolean {
    const before = session.leader === this.#session?.leader ? this.#session.number : 1;
    this.#session = session;
    return session.number !== before;
  }

  #failed(thrown: unknown): void {
    if (this.#isStopped) return;
    const { env, onRefused } = this.#world;
    const error = toCairnError(thrown);
    env.events.emit('warn', 'chunkserver.heartbeatFailed', { code: error.code, message: error.message });
    if (error.code === 'SESSION_EXPIRED' || error.code === 'NOT_FOUND') this.#channel!.reconnect('register anew');
    else if (error.retry === 'never' && !isMistakeOf(thrown)) onRefused(error);
  }

  async #measureDisk(now: number): Promise<void> {
    if (now - this.#usageAt < usageEveryMs) return;
    this.#usage = await this.#world.store.room();
    this.#usageAt = now;
  }
}

/** Of whoever answered: another master may do better, so may this one later. Mistakes of our own are no CairnErrors. */
function isMistakeOf(answer: unknown): boolean {
  return answer instanceof CairnError && answer.code === 'INTERNAL';
}
