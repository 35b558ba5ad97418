import { describe, expect, it } from 'vitest';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { MemoryMap } from '../storage/memory-map.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { ShadowReads } from './shadow.ts';
import { Tables } from './state/tables.ts';

describe('how old what a master has can be', () => {
  it('does not grow by the answer to an earlier question, which comes after that to a later one', async () => {
    const world = testWorld(1);
    const { env } = world.node('m1');
    const tables = new Tables(new OverlayStore(new MemoryMap()));
    const answers: ((index: number) => void)[] = [];
    const shadow = new ShadowReads({
      env,
      tables: () => tables,
      appliedIndex: () => 10,
      askLeader: () => new Promise<number>((resolve) => answers.push(resolve)),
    });
    shadow.start();
    await world.run(200);
    const read = shadow.read({ maxAgeMs: 50, ask: { kind: 'locate', inode: 99, from: 0, count: 1 } as never });
    read.catch(() => {}); // there is no such file; it is the age that matters
    await world.run(1);
    expect(answers).toHaveLength(2);
    answers[1]!(9);
    await world.run(1);
    expect(shadow.ageMs).toBeLessThan(50);
    answers[0]!(10);
    await world.run(1);
    expect(shadow.ageMs).toBeLessThan(50);
    shadow.stop();
  });
});
