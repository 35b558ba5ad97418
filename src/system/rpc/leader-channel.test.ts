import { describe, expect, test } from 'vitest';
import { type Address, toAddress } from '../../core/base/brand.ts';
import { struct, text } from '../../core/base/codec.ts';
import { CairnError } from '../../core/base/errors.ts';
import { call } from '../../core/protocol/call.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import { type Handlers, routesOf } from './handlers.ts';
import { LeaderChannel } from './leader-channel.ts';
import { RpcConnection } from './rpc-connection.ts';

const calls = {
  ask: call(1, struct({ word: text }), struct({ by: text })),
  hello: call(2, struct({}), struct({})),
} as const;
type Calls = typeof calls;

const names = ['m1', 'm2', 'm3'] as const;
const addresses: readonly Address[] = names.map((name) => toAddress(`${name}:1`));

/** Three masters of which one leads; the others name it, unless they know nobody. */
class Masters {
  readonly world: SimWorld;
  leader: string | undefined = 'm2';
  /** Whom those that do not lead name. */
  hintOf = (_name: string): string => (this.leader === undefined ? '' : `${this.leader}:1`);
  refusal: CairnError | undefined;
  hellos = 0;
  asked = 0;
  helloFails = 0;
  /** They greet as a node of another kind would. */
  strangers: readonly string[] = [];
  /** What a greeting tells of. */
  others: readonly Address[] = [];

  constructor(seed: number) {
    this.world = testWorld(seed);
  }

  static async start(seed: number): Promise<Masters> {
    const masters = new Masters(seed);
    for (const name of names) await masters.serve(name);
    return masters;
  }

  async serve(name: string): Promise<void> {
    const { env } = this.world.node(name);
    const handlers: Handlers<Calls> = {
      ask: () => {
        this.asked += 1;
        if (this.refusal !== undefined) throw this.refusal;
        if (name !== this.leader) throw new CairnError('NOT_LEADER', 'another leads', { hint: this.hintOf(name) });
        return { response: { by: name } };
      },
      hello: () => {
        this.hellos += 1;
        if (this.strangers.includes(name)) throw new CairnError('PROTOCOL', 'it ends too early');
        if (this.helloFails > 0) {
          this.helloFails -= 1;
          throw new CairnError('UNAVAILABLE', 'not yet');
        }
        return { response: {} };
      },
    };
    const routes = routesOf(calls, handlers);
    const accept = (connection: Parameters<typeof RpcConnection.accept>[1]) =>
      RpcConnection.accept(env, connection, calls, routes);
    await this.world.settle(env.network.listen(toAddress(`${name}:1`), accept));
  }

  channel(deadlineMs = 5000, masters = addresses, isGreeting = false): LeaderChannel<Calls, Calls> {
    const { env } = this.world.node('client');
    const greet = async (rpc: RpcConnection<Calls>) => {
      await rpc.call('hello', {}, { timeoutMs: 700 });
      return this.others;
    };
    return new LeaderChannel({ env, masters, calls, deadlineMs, ...(isGreeting ? { greet } : {}) });
  }
}

describe('a call to the leader', () => {
  test.each([1, 2, 3, 4])('finds it wherever it begins (seed %i), and stays with it', async (seed) => {
    const masters = await Masters.start(seed);
    const channel = masters.channel();
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m2');
    expect(channel.target).toBe('m2:1');
    const before = masters.asked;
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    expect(masters.asked).toBe(before + 1);
  });

  test('follows it when it moves, without a pause', async () => {
    const masters = await Masters.start(10);
    const channel = masters.channel();
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    masters.leader = 'm3';
    const before = masters.world.now;
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m3');
    expect(masters.world.now - before).toBeLessThan(10);
  });

  test('waits through an election, and through a leader that was killed', async () => {
    const masters = await Masters.start(11);
    const channel = masters.channel();
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    masters.world.node('m2').crash();
    masters.leader = undefined;
    masters.world.after(600, () => {
      masters.leader = 'm1';
    });
    const before = masters.world.now;
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m1');
    expect(masters.world.now - before).toBeLessThan(1200);
  });

  test('does not go back to a leader that is stopped because others name it still', async () => {
    const masters = await Masters.start(14);
    const channel = masters.channel();
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    masters.world.node('m2').pause(); // the others have not noticed: they go on naming it
    masters.world.after(900, () => {
      masters.leader = 'm1';
    });
    const before = masters.world.now;
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m1');
    expect(masters.world.now - before).toBeLessThan(1200); // one attempt of 700 ms at m2, not two
  });

  test('passes by a leader that is stopped', async () => {
    const masters = await Masters.start(12);
    const channel = masters.channel();
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    masters.world.node('m2').pause();
    masters.leader = 'm1';
    const before = masters.world.now;
    const many = Array.from({ length: 20 }, () => channel.call('ask', { word: 'x' }));
    for (const { by } of await masters.world.settle(Promise.all(many))) expect(by).toBe('m1');
    expect(masters.world.now - before).toBeLessThan(1500);
  });

  test('ends at its deadline with a clear error when nobody leads', async () => {
    const masters = await Masters.start(13);
    masters.leader = undefined;
    const before = masters.world.now;
    await expect(masters.world.settle(masters.channel(1500).call('ask', { word: 'x' }))).rejects.toMatchObject({
      code: 'NO_QUORUM',
    });
    expect(masters.world.now - before).toBeGreaterThanOrEqual(1500);
    expect(masters.world.now - before).toBeLessThan(2300);
  });

  test('that may have taken effect ends as such, not as one that surely has not', async () => {
    const masters = await Masters.start(19);
    const channel = masters.channel(2500);
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    masters.world.node('m2').pause(); // it has the question, and nobody hears its answer
    masters.leader = undefined;
    const ended = masters.world.settle(channel.call('ask', { word: 'x' }), 10_000);
    await expect(ended).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
  });

  test('that never reached anybody has surely not taken effect', async () => {
    const masters = await Masters.start(22);
    for (const name of names) masters.world.node(name).crash();
    const ended = masters.world.settle(masters.channel(1500, addresses, true).call('ask', { word: 'x' }));
    await expect(ended).rejects.toMatchObject({ code: 'NO_QUORUM' });
  });

  test('follows to a master of whom it had not been told', async () => {
    const masters = await Masters.start(23);
    const channel = masters.channel(5000, [addresses[0]!]);
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m2');
    expect(channel.target).toBe('m2:1');
  });

  test('goes to the masters that a greeting told of, when all it was given are gone', async () => {
    const masters = await Masters.start(24);
    masters.leader = 'm1';
    masters.others = [addresses[1]!, addresses[2]!];
    const channel = masters.channel(5000, [addresses[0]!], true);
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    masters.world.node('m1').crash();
    masters.leader = 'm3';
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m3');
  });

  test('does not hurry between masters that point at each other', async () => {
    const masters = await Masters.start(14);
    masters.leader = undefined;
    masters.hintOf = (name) => (name === 'm1' ? 'm3:1' : 'm1:1');
    await expect(masters.world.settle(masters.channel(2000).call('ask', { word: 'x' }))).rejects.toMatchObject({
      code: 'NO_QUORUM',
    });
    expect(masters.asked).toBeLessThan(150);
  });

  test('is not repeated when it can never succeed, and is when it can later', async () => {
    const masters = await Masters.start(15);
    const channel = masters.channel();
    masters.refusal = new CairnError('NOT_FOUND', 'there is no such file');
    await expect(masters.world.settle(channel.call('ask', { word: 'x' }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(masters.asked).toBe(1);
    masters.refusal = new CairnError('BUSY', 'later');
    masters.world.after(300, () => {
      masters.refusal = undefined;
    });
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m2');
  });

  test('that the leader puts off stays with it', async () => {
    const masters = await Masters.start(17);
    const channel = masters.channel(20_000, addresses, true);
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    const { hellos } = masters;
    masters.refusal = new CairnError('UNAVAILABLE', 'not now');
    masters.world.after(2000, () => {
      masters.refusal = undefined;
    });
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m2');
    expect(masters.hellos).toBe(hellos);
  });

  test('about a chunk that the caller must look at again is not repeated', async () => {
    const masters = await Masters.start(18);
    masters.refusal = new CairnError('NOT_PRIMARY', 'another is');
    await expect(masters.world.settle(masters.channel().call('ask', { word: 'x' }))).rejects.toMatchObject({
      code: 'NOT_PRIMARY',
    });
    expect(masters.asked).toBe(1);
  });

  test('of a channel that is closed is aborted', async () => {
    const masters = await Masters.start(16);
    const channel = masters.channel();
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    masters.leader = undefined;
    const waiting = channel.call('ask', { word: 'x' });
    masters.world.after(50, () => channel.close());
    await expect(masters.world.settle(waiting)).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('a greeting', () => {
  test('comes first on each connection, once', async () => {
    const masters = await Masters.start(20);
    const channel = masters.channel(5000, [addresses[1]!], true);
    const many = Array.from({ length: 10 }, () => channel.call('ask', { word: 'x' }));
    await masters.world.settle(Promise.all(many));
    expect(masters.hellos).toBe(1);
    channel.reconnect('once more');
    await masters.world.settle(channel.call('ask', { word: 'x' }));
    expect(masters.hellos).toBe(2);
  });

  test('that nobody but masters understands passes by who is none, without a pause', async () => {
    const masters = await Masters.start(33);
    masters.strangers = ['m1', 'm3'];
    masters.hintOf = () => '';
    const { world } = masters;
    const before = world.now;
    const channel = masters.channel(5000, addresses, true);
    expect((await world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m2');
    expect(world.now - before).toBeLessThan(50);
  });

  test('that nobody understands ends the call at once, and names who was asked', async () => {
    const masters = await Masters.start(34);
    masters.strangers = ['m1', 'm2', 'm3'];
    const channel = masters.channel(5000, addresses, true);
    const before = masters.world.now;
    await expect(masters.world.settle(channel.call('ask', { word: 'x' }))).rejects.toThrow(
      /no master of this version answers at m1:1, m2:1, m3:1: it ends too early/,
    );
    expect(masters.world.now - before).toBeLessThan(50);
    masters.strangers = [];
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m2');
  });

  test('that fails is made again on a new connection, also with a single master', async () => {
    const masters = await Masters.start(21);
    masters.helloFails = 3;
    const channel = masters.channel(5000, [addresses[1]!], true);
    expect((await masters.world.settle(channel.call('ask', { word: 'x' }))).by).toBe('m2');
    expect(masters.hellos).toBe(4);
  });
});
