import { describe, expect, test } from 'vitest';
import { toAddress, toMillis } from '../../core/base/brand.ts';
import type { Connection, Env } from '../../core/base/env.ts';
import type { TraceLine } from './kernel.ts';
import { nodeHost, testWorld } from './node-host.test-support.ts';
import type { SimWorld } from './world.ts';

const address = toAddress('b:1');

/** A small program with everything in it: timers, turns, a file that is written and synced, and frames to and fro. */
async function chatter(env: Env, isServer: boolean): Promise<void> {
  const file = await env.disk.open('journal', 'create');
  let offset = file.size();
  const note = async (bytes: Uint8Array) => {
    const at = offset;
    offset += bytes.length;
    await file.write(at, [bytes]);
    if (env.random.below(4) === 0) await file.sync();
  };
  const handler = (connection: () => Connection) => ({
    frame: (head: Uint8Array) => {
      const kept = head.slice();
      env.clock.soon(() => {
        kept[0] = env.random.below(256);
        connection().send(kept, [kept]);
      });
      void note(kept);
      return undefined;
    },
    closed: () => env.events.emit('info', 'chatter.closed'),
  });
  if (isServer) {
    await env.network.listen(address, (connection) => handler(() => connection));
    return;
  }
  const dial = () => {
    const connection: Connection = env.network.connect(
      address,
      handler(() => connection),
    );
    for (let n = 0; n < 3; n++) connection.send(Uint8Array.of(n, env.random.below(256)));
  };
  dial();
  const again = () => {
    dial();
    env.clock.after(20, again);
  };
  env.clock.after(20, again);
}

async function chat(world: SimWorld): Promise<SimWorld> {
  const a = world.node('a');
  const b = world.node('b');
  void chatter(b.env, true);
  void chatter(a.env, false);
  world.after(30, () => b.crash({ loseUnsynced: true }));
  world.after(45, () => void chatter(b.restart(), true));
  await world.run(100);
  return world;
}

describe('determinism', () => {
  test('the same seed gives the same events, another seed others', async () => {
    const [first, second, other] = [await chat(testWorld(1)), await chat(testWorld(1)), await chat(testWorld(2))];
    expect(first.eventCount).toBeGreaterThan(500);
    expect([second.hash, second.eventCount]).toEqual([first.hash, first.eventCount]);
    expect(other.hash).not.toBe(first.hash);
  });

  test('the hash sees every byte that is sent and written', async () => {
    const hashes = new Set<string>();
    for (const [sent, written] of [
      [1, 1],
      [2, 1],
      [1, 2],
    ] as const) {
      const world = testWorld(1);
      const { env } = world.node('a');
      await env.network.listen(address, () => ({ frame: () => undefined, closed: () => undefined }));
      const connection = env.network.connect(address, { frame: () => undefined, closed: () => undefined });
      connection.send(Uint8Array.of(0), [new Uint8Array(1_000).fill(sent, 999)]);
      const file = await world.settle(env.disk.open('f', 'create'));
      await world.settle(file.write(0, [new Uint8Array(1_000).fill(written, 999)]));
      await world.run(100);
      hashes.add(world.hash);
    }
    expect(hashes.size).toBe(3);
  });

  test('a trace shows where two runs part', async () => {
    const traces: TraceLine[][] = [];
    for (const extra of [false, true]) {
      const lines: TraceLine[] = [];
      traces.push(lines);
      const world = testWorld(1, { host: { ...nodeHost, trace: (line) => lines.push(line) } });
      if (extra) world.after(50, () => world.node('a').env.random.below(2));
      await chat(world);
    }
    const [a, b] = traces as [TraceLine[], TraceLine[]];
    const parting = a.findIndex((line, n) => line.hash !== b[n]?.hash);
    expect(b[parting]).toMatchObject({ kind: 'scenario', atUs: 50_000 });
  });

  test('all promise reactions run between two events, however long their chain', async () => {
    const world = testWorld(1);
    const { env } = world.node('a');
    const order: string[] = [];
    env.clock.after(1, async () => {
      for (let n = 0; n < 1_000; n++) await undefined;
      order.push('chain of the first');
    });
    world.after(5, () => order.push('second'));
    await world.run(10);
    expect(order).toEqual(['chain of the first', 'second']);
  });

  test('virtual time stands still unless the world runs', async () => {
    const world = testWorld(1);
    let fired = 0;
    world.node('a').env.clock.after(10, () => fired++);
    await world.runUntil(toMillis(9));
    expect([fired, world.now]).toEqual([0, 9]);
    await world.runUntil(toMillis(3_600_000));
    expect([fired, world.now]).toEqual([1, 3_600_000]);
    expect(await world.step()).toBe(false);
  });

  test('a wait that nothing can end says so', async () => {
    const world = testWorld(1);
    await expect(world.settle(new Promise(() => undefined), 100)).rejects.toThrow('not settled');
    expect(await world.runUntil(() => false, 100)).toBe(false);
  });

  test('what simulated code throws reaches who runs the world', async () => {
    const world = testWorld(1);
    world.node('a').env.clock.after(1, () => {
      throw new Error('broken invariant');
    });
    await expect(world.run(10)).rejects.toThrow('broken invariant');
  });
});

describe('clocks', () => {
  test('a timer never fires early by its own clock, and cancelled ones never', async () => {
    const world = testWorld(1);
    const { env } = world.node('a', { clockDriftPpm: 50_000 });
    const late: number[] = [];
    for (let n = 0; n < 200; n++) {
      const delayMs = n / 7;
      const begun = env.clock.now();
      env.clock.after(delayMs, () => late.push(env.clock.now() - begun - delayMs));
      env.clock.after(delayMs, () => late.push(-1)).cancel();
    }
    await world.run(1_000);
    expect(late.length).toBe(200);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...late)).toBeLessThan(1.2);
  });

  test('clocks drift apart by their rates', async () => {
    const world = testWorld(1);
    const fast = world.node('fast', { clockDriftPpm: 100_000 }).env.clock;
    const slow = world.node('slow', { clockDriftPpm: -100_000 }).env.clock;
    const begun = [fast.now(), slow.now(), fast.wallNow()] as const;
    await world.run(1_000);
    expect(fast.now() - begun[0]).toBeCloseTo(1_100, 3);
    expect(slow.now() - begun[1]).toBeCloseTo(900, 3);
    expect(fast.wallNow() - begun[2]).toBe(1_100);
  });

  test('a timer that was set before its clock was slowed waits for it', async () => {
    const world = testWorld(1);
    const node = world.node('a', { clockDriftPpm: 0 });
    let fired = false;
    node.env.clock.after(1_000, () => {
      fired = true;
    });
    await world.run(500);
    node.clock.setDrift(-400_000);
    await world.run(800);
    expect(fired).toBe(false);
    await world.run(50);
    expect(fired).toBe(true);
  });

  test('a jump moves the wall clock alone', () => {
    const node = testWorld(1).node('a');
    const before = [node.env.clock.now(), node.env.clock.wallNow()] as const;
    node.clock.jumpWall(-5_000);
    expect([node.env.clock.now() - before[0], node.env.clock.wallNow() - before[1]]).toEqual([0, -5_000]);
  });

  test('what is put off until soon runs in order, after the input, in a turn', async () => {
    const world = testWorld(1);
    const { clock } = world.node('a').env;
    const order: string[] = [];
    clock.soon(() => {
      order.push('one');
      clock.soon(() => order.push('three'));
    });
    clock.soon(() => order.push('two'));
    order.push('input');
    await world.run(1);
    expect(order).toEqual(['input', 'one', 'two', 'three']);
  });
});

describe('crash, pause', () => {
  test('a dead incarnation never acts again', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const { env } = node;
    const acts: string[] = [];
    const file = await world.settle(env.disk.open('f', 'create'));
    env.clock.after(5, () => acts.push('timer'));
    env.clock.soon(() => acts.push('soon'));
    void file.write(0, [new Uint8Array(10)]).finally(() => acts.push('write'));
    void file.sync().finally(() => acts.push('sync'));
    node.crash();
    env.clock.after(5, () => acts.push('timer of the dead'));
    env.clock.soon(() => acts.push('soon of the dead'));
    void env.disk.exists('f').finally(() => acts.push('exists'));
    void file.read(0, new Uint8Array(1)).finally(() => acts.push('read'));
    void file.sync().finally(() => acts.push('sync of the dead'));
    void env.network
      .listen(address, () => ({ frame: () => undefined, closed: () => undefined }))
      .finally(() => acts.push('listen'));
    env.network.connect(address, { frame: () => undefined, closed: () => acts.push('closed') }).send(new Uint8Array(1));
    expect(() => file.writeNow(0, [new Uint8Array(1)])).toThrow('dead');
    expect(() => env.disk.openNow('g', 'create')).toThrow('dead');
    await world.run(60_000);
    expect(acts).toEqual([]);
    node.restart();
    await world.run(60_000);
    expect(acts).toEqual([]);
    expect(node.disk.paths()).toEqual(['f']);
  });

  test('a node that crashes in the middle of its own turn does nothing more', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    const { env } = node;
    let wrote = false;
    env.clock.after(1, async () => {
      const file = env.disk.openNow('f', 'create');
      node.crash();
      await file.write(0, [new Uint8Array(8)]);
      wrote = true;
    });
    await world.run(100);
    expect(wrote).toBe(false);
    expect(node.disk.read('f').length).toBe(0);
  });

  test('a paused node does nothing until it is resumed, then everything, in order', async () => {
    const world = testWorld(1, { turns: { timerLatenessMaxMs: 0 } });
    const node = world.node('a', { clockDriftPpm: 0 });
    const at: [number, number][] = [];
    for (const delay of [10, 20, 30, 200]) node.env.clock.after(delay, () => at.push([delay, world.now]));
    world.after(15, () => node.pause());
    world.after(100, () => node.resume());
    await world.run(300);
    expect(at).toEqual([
      [10, 10],
      [20, 100],
      [30, 100],
      [200, 200],
    ]);
  });

  test('a crash ends a pause', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    let old = 0;
    node.env.clock.after(1, () => old++);
    node.pause();
    await world.run(10);
    node.crash();
    let fresh = 0;
    node.restart().clock.after(1, () => fresh++);
    await world.run(10);
    expect([old, fresh]).toEqual([0, 1]);
  });

  test('a cancelled timer does not fire after a pause either', async () => {
    const world = testWorld(1);
    const node = world.node('a');
    let fired = 0;
    const timer = node.env.clock.after(5, () => fired++);
    node.pause();
    await world.run(20);
    timer.cancel();
    node.resume();
    await world.run(20);
    expect(fired).toBe(0);
  });
});
