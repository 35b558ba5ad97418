import { describe, expect, it } from 'vitest';
import { CairnError } from '../../core/base/errors.ts';
import type { ReadId } from '../../core/consensus/engine.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { readsPerTurn, readsWaitingMax, WaitingReads } from './waiting-reads.ts';

function setUp() {
  const world = testWorld(1);
  const asked: ReadId[] = [];
  const reads = new WaitingReads(world.node('m1').env.clock, (id) => asked.push(id));
  const answered: string[] = [];
  const begin = (name: string) =>
    reads.begin().then(
      () => answered.push(name),
      (error: CairnError) => answered.push(`${name} ${error.code}`),
    );
  return { world, reads, asked, answered, begin };
}

describe('waiting reads', () => {
  it('of one turn are asked as one, and wait until the state is applied up to where they were granted', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const both = Promise.all([begin('a'), begin('b')]);
    expect(asked).toEqual([]);
    await world.run(1);
    expect(asked).toHaveLength(1);
    reads.granted(asked[0]!, 5, 4);
    await world.run(1);
    reads.release(4);
    await world.run(1);
    expect(answered).toEqual([]);
    reads.release(5);
    await both;
    expect(answered).toEqual(['a', 'b']);
  });

  it('are released at once where the state is far enough', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const read = begin('a');
    await world.run(1);
    reads.granted(asked[0]!, 5, 5);
    await read;
    expect(answered).toEqual(['a']);
  });

  it('are released in the order of their grants', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const all: Promise<unknown>[] = [];
    for (const name of ['a', 'b', 'c']) {
      all.push(begin(name));
      await world.run(1);
    }
    for (const [i, index] of [
      [1, 6],
      [0, 7],
      [2, 9],
    ] as const)
      reads.granted(asked[i]!, index, 5);
    reads.release(8);
    await world.run(1);
    expect(answered).toEqual(['b', 'a']);
    reads.release(9);
    await Promise.all(all);
    expect(answered).toEqual(['b', 'a', 'c']);
  });

  it('that are ready go some in each turn, in their order: others work between them', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const many = 2 * readsPerTurn + 1;
    const all = Array.from({ length: many }, (_, i) => begin(`${i}`));
    await world.run(1);
    const { clock } = world.node('m1').env;
    const answeredBefore: number[] = [];
    clock.soon(() => answeredBefore.push(answered.length));
    reads.granted(asked[0]!, 5, 5);
    reads.release(6); // what is ready is not hurried by what is applied meanwhile
    await world.run(1);
    await Promise.all(all);
    expect(answeredBefore).toEqual([readsPerTurn]);
    expect(answered).toEqual(Array.from({ length: many }, (_, i) => `${i}`));
  });

  it('that are ready and have not had their turn when leadership ends are refused', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const all = Array.from({ length: readsPerTurn + 2 }, (_, i) => begin(`${i}`));
    await world.run(1);
    reads.granted(asked[0]!, 5, 5);
    reads.abandon();
    await Promise.all(all);
    expect(answered.filter((name) => name.endsWith('NOT_LEADER'))).toEqual([
      `${readsPerTurn} NOT_LEADER`,
      `${readsPerTurn + 1} NOT_LEADER`,
    ]);
  });

  it('that the engine drops are refused, the others not', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const dropped = begin('a');
    await world.run(1);
    const other = begin('b');
    await world.run(1);
    reads.dropped({ kind: 'read', id: asked[0]!, reason: 'steppedDown' });
    await dropped;
    expect(answered).toEqual(['a NOT_LEADER']);
    reads.granted(asked[1]!, 1, 1);
    await other;
    expect(answered).toEqual(['a NOT_LEADER', 'b']);
  });

  it('that are granted are refused when leadership ends; of those that are asked the engine speaks', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const granted = begin('a');
    await world.run(1);
    const late = begin('b');
    await world.run(1);
    reads.granted(asked[0]!, 9, 5);
    reads.abandon();
    await granted;
    expect(answered).toEqual(['a NOT_LEADER']);
    reads.dropped({ kind: 'read', id: asked[1]!, reason: 'notLeader' });
    await late;
    expect(answered).toEqual(['a NOT_LEADER', 'b NOT_LEADER']);
  });

  it('all end with the reason when the host stops, wherever they are', async () => {
    const { world, reads, asked, answered, begin } = setUp();
    const all = [begin('granted')];
    await world.run(1);
    reads.granted(asked[0]!, 9, 5);
    all.push(begin('asked'));
    await world.run(1);
    all.push(begin('gathering'));
    reads.stop(new CairnError('DISK_FAILED', 'the disk failed'));
    await Promise.all(all);
    expect(answered.sort()).toEqual(['asked DISK_FAILED', 'gathering DISK_FAILED', 'granted DISK_FAILED']);
  });

  it('are refused beyond the bound, until those that gather are asked', async () => {
    const { world, reads, asked } = setUp();
    const gathered = Array.from({ length: readsWaitingMax }, () => reads.begin());
    await expect(reads.begin()).rejects.toMatchObject({ code: 'BUSY' });
    await world.run(1);
    const next = reads.begin();
    await world.run(1);
    for (const id of asked) reads.granted(id, 1, 1);
    await world.run(1000);
    await Promise.all([...gathered, next]);
    expect(asked).toHaveLength(2);
  });
});
