import { describe, expect, test } from 'vitest';
import { toAddress } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { atMostDown, FaultDriver, type FaultDriverOptions } from './fault-driver.ts';
import { diskDamage, drawFaultPlan, type FaultKind, type FaultPlan, faultKinds, takesDown } from './fault-plan.ts';
import type { SimNode } from './node.ts';
import { testWorld } from './node-host.test-support.ts';
import { SimRandom } from './random.ts';
import type { SimWorld } from './world.ts';

const names = ['a', 'b', 'c'] as const;
const addressOf = (name: string) => toAddress(`${name}:1`);

/** Each node counts in a synced file, reads it back, and sends the count to the others; what fails is tried again. */
function program(env: Env, name: string, heard: Map<string, number>): void {
  let count = 0;
  void env.network.listen(addressOf(name), () => ({
    frame: (head) => {
      const from = names[head[0]!]!;
      heard.set(`${from}→${name}`, (heard.get(`${from}→${name}`) ?? 0) + 1);
      return undefined;
    },
    closed: () => undefined,
  }));
  const tick = async () => {
    count += 1;
    const file = await env.disk.open('count', 'create');
    await file.write(0, [Uint8Array.of(count & 0xff)]);
    await file.sync();
    await file.read(0, new Uint8Array(1));
    await file.close();
    for (const other of names) {
      if (other === name) continue;
      const connection = env.network.connect(addressOf(other), { frame: () => undefined, closed: () => undefined });
      connection.send(Uint8Array.of(names.indexOf(name as 'a')));
      env.clock.after(50, () => connection.close('said it'));
    }
  };
  const loop = () => {
    tick().catch((thrown: unknown) => env.events.emit('warn', 'program.failed', { thrown }));
    env.clock.after(20, loop);
  };
  loop();
}

interface Run {
  readonly world: SimWorld;
  readonly driver: FaultDriver;
  readonly heard: Map<string, number>;
  readonly nodes: readonly SimNode[];
}

function start(seed: number, plan: FaultPlan, options: Partial<FaultDriverOptions> = {}): Run {
  const world = testWorld(seed);
  const heard = new Map<string, number>();
  const nodes = names.map((name) => world.node(name));
  for (const node of nodes) program(node.env, node.name, heard);
  const restart = (node: SimNode) => program(node.restart(), node.name, heard);
  const driver = new FaultDriver(world, { plan, nodes, fromMs: 100, untilMs: 5_000, restart, ...options });
  return { world, driver, heard, nodes };
}

const often = (kinds: readonly FaultKind[]): FaultPlan =>
  kinds.map((kind) => ({ kind, everyMs: 150, lastsMs: [10, 400] as const }));

describe('swarm', () => {
  test('plans differ between seeds, are the same for one, and cover every kind', () => {
    const plans = Array.from({ length: 40 }, (_, seed) =>
      drawFaultPlan(SimRandom.fromSeed(seed), { kinds: faultKinds }),
    );
    expect(drawFaultPlan(SimRandom.fromSeed(7), { kinds: faultKinds })).toEqual(plans[7]);
    expect(new Set(plans.map((plan) => JSON.stringify(plan))).size).toBe(40);
    expect(new Set(plans.flat().map(({ kind }) => kind))).toEqual(new Set(faultKinds));
    for (const plan of plans) expect(plan.length).toBeGreaterThan(0);
  });

  test('disks stay sound unless a scenario asks for damage', () => {
    for (let seed = 0; seed < 20; seed++) {
      const plan = drawFaultPlan(SimRandom.fromSeed(seed));
      expect(plan.filter(({ kind }) => diskDamage.has(kind))).toEqual([]);
    }
  });
});

describe('FaultDriver', () => {
  test.each(faultKinds)('%s happens, and the nodes work again when it is healed', async (kind) => {
    const { world, driver, heard, nodes } = start(1, often([kind]));
    await world.run(5_000);
    expect(driver.history.length).toBeGreaterThan(5);
    expect(new Set(driver.history.map((fault) => fault.kind))).toEqual(new Set([kind]));
    expect(Math.min(...driver.history.map((fault) => fault.sinceMs))).toBeGreaterThanOrEqual(100);
    expect([driver.isOver, driver.active.length]).toEqual([true, 0]);
    expect(nodes.every((node) => node.isUp && !node.isHeld && !node.disk.isStalled)).toBe(true);
    await world.run(1_500);
    heard.clear();
    await world.run(1_000);
    for (const from of names) {
      for (const to of names) if (from !== to) expect(heard.get(`${from}→${to}`)).toBeGreaterThan(20);
    }
  });

  test('the same seed injects the same faults and has the same events', async () => {
    const outcome = async (seed: number) => {
      const { world, driver } = start(seed, often(faultKinds));
      await world.run(6_000);
      return { hash: world.hash, history: driver.history.map(({ what, sinceMs }) => `${sinceMs} ${what}`) };
    };
    const [first, second, other] = [await outcome(1), await outcome(1), await outcome(2)];
    expect(first.history.length).toBeGreaterThan(100);
    expect(second).toEqual(first);
    expect(other.hash).not.toBe(first.hash);
  });

  test('no more nodes are down at once than allowed', async () => {
    const { world, driver, nodes } = start(3, often([...takesDown]), { mayInject: atMostDown(names, 1) });
    const mostDown = { bounded: 0 };
    while (!driver.isOver) {
      await world.step();
      const down = nodes.filter((node) => !node.isUp || node.isPaused || node.disk.isStalled);
      mostDown.bounded = Math.max(mostDown.bounded, down.length);
    }
    expect(mostDown.bounded).toBe(1);
    const free = start(3, often([...takesDown]));
    let most = 0;
    while (!free.driver.isOver) {
      await free.world.step();
      most = Math.max(most, free.nodes.filter((node) => !node.isUp || node.isPaused).length);
    }
    expect(most).toBeGreaterThan(1);
  });

  test('only files that may be damaged are', async () => {
    const { world, nodes, driver } = start(1, often(['bitRot']), { mayDamage: (_, path) => path === 'victim' });
    for (const node of nodes) {
      const file = node.env.disk.openNow('victim', 'create');
      file.writeNow(0, [new Uint8Array(1_000)]);
      node.env.disk.openNow('spared', 'create').writeNow(0, [new Uint8Array(1_000)]);
    }
    await world.run(5_000);
    const flipped = nodes.map((node) => node.disk.read('victim').some((byte) => byte !== 0));
    expect(flipped).toContain(true);
    expect(driver.history.every(({ what }) => what.includes(':victim'))).toBe(true);
    for (const node of nodes) expect(node.disk.read('spared').every((byte) => byte === 0)).toBe(true);
  });

  test('a scenario may end the faults early', async () => {
    const { world, driver } = start(1, often(['kill']));
    await world.run(1_000);
    driver.heal();
    const { length } = driver.history;
    await world.run(6_000);
    expect([driver.history.length, driver.isOver]).toEqual([length, true]);
    expect(length).toBeGreaterThan(0);
  });
});
