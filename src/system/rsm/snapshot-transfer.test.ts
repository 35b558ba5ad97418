import { describe, expect, it } from 'vitest';
import { type NodeId, toNodeId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type SnapshotPoint, toLogIndex } from '../../core/consensus/engine.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { MemoryMap } from '../storage/memory-map.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { encodePoint } from './point.ts';
import { partAwaitedMs, SnapshotReceiver, silentSenderMs } from './snapshot-receiver.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import type { SendPart, SnapshotPart } from './snapshot-transfer.ts';

const [leader, follower, next] = [1, 2, 3].map(toNodeId) as [NodeId, NodeId, NodeId];
const none: SnapshotPoint = {
  index: toLogIndex(0),
  term: 0,
  checksum: 0,
  members: { voters: [leader], nonVoters: [] },
};
const keys = 40;

function storeOf(index: number, fill: number): OverlayStore {
  const store = new OverlayStore(new MemoryMap());
  for (let i = 0; i < keys; i++) store.put(`k${String(i).padStart(3, '0')}`, new Uint8Array(100_000).fill(fill));
  store.applied(index);
  return store;
}

/** A receiver and as many senders as a test wants, in one world; `meddle` sees each part on its way and may throw, or change its bytes. */
class Transfer {
  readonly world = testWorld(1);
  readonly env = this.world.node('n').env;
  readonly store = new OverlayStore(new MemoryMap());
  readonly parts: number[] = [];
  readonly installed: number[] = [];
  readonly receiver: SnapshotReceiver;
  firstIndex = 1;
  paused = false;
  frozen = 0;
  thawed = 0;
  /** How long a part is on its way, and what the sending node applies meanwhile. */
  partMs = 0;
  entriesPerPart = 0;
  applied = 0;
  isPressed = false;
  isNear = false;
  /** Entries up to here wait to be applied here while a state arrives. */
  waitingTo = 0;
  /** Entries up to here have come while a state arrives. */
  heldTo = 0;
  meddle: (part: SnapshotPart, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes;

  constructor() {
    const { store } = this;
    const held = () => this.heldTo;
    this.receiver = new SnapshotReceiver({
      env: this.env,
      store,
      get heldIndex() {
        return Math.max(store.appliedIndex, held());
      },
      isFlushing: false,
      pause: () => {
        this.paused = true;
      },
      resume: () => {
        this.paused = false;
        if (this.waitingTo > store.appliedIndex) store.applied(this.waitingTo);
      },
      installed: (_, { index }) => {
        this.paused = false;
        this.installed.push(index);
      },
    });
  }

  /** Of a state whose values consist of `fill`. */
  sender(from: NodeId, index: number, term = 1, fill = index): SnapshotSender {
    const store = storeOf(index, fill);
    const point = { ...none, index: toLogIndex(index), term: 1, checksum: index };
    const send: SendPart = async (_, part, bytes) => {
      const arriving = this.meddle(part, bytes);
      this.parts.push(part.part);
      if (this.partMs > 0) await new Promise<void>((resolve) => void this.env.clock.after(this.partMs, resolve));
      this.applied += this.entriesPerPart;
      return this.receiver.take(from, part, arriving);
    };
    const transfer = () => this;
    return new SnapshotSender({
      env: this.env,
      term,
      get firstIndex() {
        return transfer().firstIndex;
      },
      get appliedIndex() {
        return transfer().applied;
      },
      isPressed: (after) => after === index && transfer().isPressed,
      isNear: (node) => node === follower && transfer().isNear,
      freeze: async () => {
        this.frozen += 1;
        const frozen = await store.freeze();
        const close = frozen.close.bind(frozen);
        frozen.close = () => {
          this.thawed += 1;
          close();
        };
        return { point, frozen };
      },
      send,
    });
  }

  async send(sender: SnapshotSender): Promise<boolean> {
    return (await this.world.settle(sender.send(follower, none), 120_000)).delivered;
  }

  /** What the first byte of each value is. */
  get found(): Set<number | undefined> {
    return new Set(Array.from({ length: keys }, (_, i) => this.store.get(`k${String(i).padStart(3, '0')}`)?.[0]));
  }
}

/** The link is down for `part` and those after it, `times` times (for good, by default). */
function breaksAt(part: number, times = Number.POSITIVE_INFINITY): Transfer['meddle'] {
  let left = times;
  return (arriving, bytes) => {
    if (arriving.part < part || left-- <= 0) return bytes;
    throw new CairnError('CONNECTION_LOST', 'the link broke');
  };
}

/** The state of index 7 has arrived in part, and for so long its sender has tried in vain to send the rest, as it goes on to. */
async function stuckHalfway(forMs: number): Promise<Transfer> {
  const transfer = new Transfer();
  const breaks = breaksAt(4);
  transfer.meddle = (part, bytes) => (part.index === 7 ? breaks(part, bytes) : bytes);
  void transfer.sender(leader, 7).send(follower, none);
  await transfer.world.run(forMs);
  return transfer;
}

const intact: Transfer['meddle'] = (_, bytes) => bytes;

describe('a snapshot on its way', () => {
  it('arrives in parts, each sent once, and is in place as a whole', async () => {
    const transfer = new Transfer();
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(true);
    expect(transfer.parts).toEqual(Array.from({ length: transfer.parts.length }, (_, i) => i));
    expect(transfer.parts.length).toBeGreaterThan(5);
    expect([...transfer.found]).toEqual([7]);
    expect(transfer).toMatchObject({ installed: [7], paused: false });
  });

  it('takes a seventh of the time while commands flow; all of it while none do, or when the log grows too long', async () => {
    const took = async (entriesPerPart: number, isPressed = false): Promise<number> => {
      const transfer = new Transfer();
      Object.assign(transfer, { partMs: 10, entriesPerPart, isPressed });
      const from = transfer.env.clock.now();
      expect(await transfer.send(transfer.sender(leader, 7))).toBe(true);
      return (transfer.env.clock.now() - from) / transfer.parts.length;
    };
    const alone = await took(0);
    expect(Math.round((await took(1)) / alone)).toBe(7);
    expect(Math.round((await took(1, true)) / alone)).toBe(1);
  });

  it('goes on with the part that a broken connection has cost', async () => {
    const transfer = new Transfer();
    transfer.meddle = breaksAt(3, 4);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(true);
    expect(new Set(transfer.parts).size).toBe(transfer.parts.length);
  });

  it('goes on where it ended when it is begun again: with the same state, and no part twice but the first', async () => {
    const transfer = new Transfer();
    const sender = transfer.sender(leader, 7);
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(sender)).toBe(false);
    expect(transfer.parts).toEqual([0, 1, 2, 3]);
    transfer.meddle = intact;
    expect(await transfer.send(sender)).toBe(true);
    expect(transfer.parts.slice(0, 8)).toEqual([0, 1, 2, 3, 0, 4, 5, 6]);
    expect(transfer).toMatchObject({ installed: [7], frozen: 1 });
  });

  it('of which nothing has arrived is not kept: the next attempt takes a newer one', async () => {
    const transfer = new Transfer();
    const sender = transfer.sender(leader, 7);
    transfer.meddle = breaksAt(0);
    expect(await transfer.send(sender)).toBe(false);
    transfer.meddle = intact;
    expect(await transfer.send(sender)).toBe(true);
    expect(transfer).toMatchObject({ installed: [7], frozen: 2 });
  });

  it('is taken anew when the log does not go on from it any more', async () => {
    const transfer = new Transfer();
    const sender = transfer.sender(leader, 7);
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(sender)).toBe(false);
    expect(sender.neededAfter).toBe(7);
    transfer.firstIndex = 9;
    transfer.meddle = intact;
    expect(await transfer.send(sender)).toBe(true);
    expect(transfer.frozen).toBe(2);
  });

  it('needs the log that goes on from it for a while after it has arrived: who is far behind takes its time', async () => {
    const transfer = new Transfer();
    const sender = transfer.sender(leader, 7);
    expect(await transfer.send(sender)).toBe(true);
    await transfer.world.run(59_000);
    expect(sender.neededAfter).toBe(7);
    await transfer.world.run(1000);
    expect(sender.neededAfter).toBe(Number.POSITIVE_INFINITY);
  });

  it('needs that log no more once its receiver is known to be near', async () => {
    const transfer = new Transfer();
    const sender = transfer.sender(leader, 7);
    expect(await transfer.send(sender)).toBe(true);
    expect(sender.neededAfter).toBe(7);
    transfer.isNear = true;
    expect(sender.neededAfter).toBe(Number.POSITIVE_INFINITY);
  });

  it('is not kept frozen for ever', async () => {
    const transfer = new Transfer();
    const sender = transfer.sender(leader, 7);
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(sender)).toBe(false);
    await transfer.world.run(61_000);
    expect(sender.neededAfter).toBe(Number.POSITIVE_INFINITY);
  });

  it('ends before its sender is closed: while its state is frozen, in a pause, at the end of a part', async () => {
    const slow = () => Object.assign(new Transfer(), { partMs: 1000, entriesPerPart: 1 });
    const broken = Object.assign(new Transfer(), { meddle: breaksAt(4) });
    for (const [transfer, afterMs, endsAfterMs] of [
      [new Transfer(), 0, 0],
      [broken, 900, 0],
      [slow(), 1500, 0],
      [slow(), 900, 100],
    ] as const) {
      const sender = transfer.sender(leader, 7);
      const sending = sender.send(follower, none);
      if (afterMs > 0) await transfer.world.run(afterMs);
      const from = transfer.env.clock.now();
      await transfer.world.settle(sender.close());
      expect(transfer).toMatchObject({ frozen: 1, thawed: 1, installed: [] });
      expect((await transfer.world.settle(sending)).delivered).toBe(false);
      expect(Math.abs(transfer.env.clock.now() - from - endsAfterMs)).toBeLessThan(20);
    }
  });

  it('is gone on with by the next leader, if its state is the same', async () => {
    const transfer = new Transfer();
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(false);
    transfer.meddle = intact;
    expect(await transfer.send(transfer.sender(next, 7, 2))).toBe(true);
    expect(transfer.parts.slice(4, 7)).toEqual([0, 4, 5]);
    expect([...transfer.found]).toEqual([7]);
  });

  it('begins anew when what the next leader sends does not continue it', async () => {
    const transfer = new Transfer();
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(false);
    transfer.meddle = intact;
    const other = transfer.sender(next, 7, 2, 99);
    for (let tries = 0; tries < 3; tries++) if (await transfer.send(other)) break;
    expect([...transfer.found]).toEqual([99]);
  });

  it('gives way to another state of a later leader, not to one of a peer of the same term', async () => {
    const transfer = await stuckHalfway(silentSenderMs - 1000);
    const head = { index: 9, part: 0, last: false, checksum: 0, point: encodePoint({ ...none, index: toLogIndex(9) }) };
    await expect(transfer.receiver.take(next, { ...head, term: 1 }, new Uint8Array(0))).rejects.toMatchObject({
      code: 'BUSY',
    });
    expect(await transfer.send(transfer.sender(next, 9, 2))).toBe(true);
    expect([...transfer.found]).toEqual([9]);
  });

  it('gives way to any other once its sender has been silent for longer than senders pause', async () => {
    const transfer = await stuckHalfway(silentSenderMs - 2000);
    expect(await transfer.send(transfer.sender(next, 9))).toBe(false); // it is tried for a second
    await transfer.world.run(1000);
    expect(await transfer.send(transfer.sender(next, 9))).toBe(true);
    expect([...transfer.found]).toEqual([9]);
  });

  it('is not waited for when the replica is past it by the time that the one before it has given way', async () => {
    const transfer = new Transfer();
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(false);
    transfer.meddle = intact;
    transfer.waitingTo = 12; // entries came in the meantime
    expect(await transfer.send(transfer.sender(next, 9, 2))).toBe(false);
    expect(transfer).toMatchObject({ paused: false, installed: [] });
    expect(transfer.receiver.isBusy).toBe(false);
  });

  it('is given up as soon as entries have come as far as it goes, and is not begun again: who was to send the rest may be gone', async () => {
    const transfer = new Transfer();
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(false);
    transfer.heldTo = 6;
    transfer.receiver.outrun();
    await transfer.world.run(1);
    expect(transfer.paused).toBe(true);
    transfer.heldTo = 7;
    transfer.receiver.outrun();
    await transfer.world.run(1);
    expect(transfer.paused).toBe(false);
    transfer.meddle = intact;
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(false);
    expect(transfer).toMatchObject({ paused: false, installed: [] });
  });

  it('that is whole is put in place before any other is taken: it cannot be given up any more', async () => {
    const transfer = new Transfer();
    const { store, world } = transfer;
    const replace = store.replace.bind(store);
    let isWhole = false;
    let finish = () => {};
    const mayFinish = new Promise<void>((resolve) => {
      finish = resolve;
    });
    store.replace = (pairs, index) => {
      async function* heldBack() {
        yield* pairs;
        isWhole = true;
        await mayFinish;
      }
      return replace(heldBack(), index);
    };
    const first = transfer.sender(leader, 7).send(follower, none);
    expect(await world.runUntil(() => isWhole, 10_000)).toBe(true);
    transfer.meddle = breaksAt(1);
    const second = transfer.sender(next, 9, 2).send(follower, none);
    await world.run(10);
    finish();
    const outcomes = await world.settle(Promise.all([first, second]), 120_000);
    expect(outcomes.map(({ delivered }) => delivered)).toEqual([true, false]);
    expect(transfer.installed).toEqual([7]);
  });

  it('is given up when no part comes for long, and the replica goes on with entries', async () => {
    const transfer = new Transfer();
    transfer.meddle = breaksAt(4);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(false);
    expect(transfer).toMatchObject({ paused: true });
    await transfer.world.run(partAwaitedMs);
    expect(transfer).toMatchObject({ paused: false });
    expect(transfer.receiver.isBusy).toBe(false);
    transfer.store.put('a', new Uint8Array([1]));
    transfer.store.applied(1);
    expect(await transfer.world.settle(transfer.store.flush())).toBe(1);
  });

  it('is sent again where it arrived damaged', async () => {
    const transfer = new Transfer();
    let damaged = 0;
    transfer.meddle = ({ part }, bytes) => (part === 2 && damaged++ === 0 ? bytes.with(1000, bytes[1000]! ^ 1) : bytes);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(true);
    expect(transfer.parts.slice(0, 5)).toEqual([0, 1, 2, 2, 3]);
    expect([...transfer.found]).toEqual([7]);
  });

  it('is delivered although the answer to its last part is lost', async () => {
    const transfer = new Transfer();
    const { receiver } = transfer;
    const take = receiver.take.bind(receiver);
    let answers = 0;
    receiver.take = async (from, part, bytes) => {
      const answer = await take(from, part, bytes);
      if (part.last && answers++ === 0) throw new CairnError('TIMED_OUT', 'the answer was lost');
      return answer;
    };
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(true);
    expect(transfer.installed).toEqual([7]);
  });

  it('that is not needed is refused; one that is needed is taken, whatever the term of who sends it', async () => {
    const transfer = new Transfer();
    transfer.store.applied(8);
    expect(await transfer.send(transfer.sender(leader, 7))).toBe(false);
    expect(transfer).toMatchObject({ installed: [], paused: false });
    expect(await transfer.send(transfer.sender(leader, 9, 0))).toBe(true);
    expect(transfer.installed).toEqual([9]);
  });
});
