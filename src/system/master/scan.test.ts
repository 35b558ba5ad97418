import { describe, expect, it } from 'vitest';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { LeaderWorld } from './leader-world.ts';
import { defaultMasterTiming } from './options.ts';
import { Scan } from './scan.ts';

const chunks = 5000;

function scanning() {
  const world = testWorld(1);
  const { env } = world.node('master');
  const tables = {
    *chunks(after: number) {
      for (let handle = after + 1; handle <= chunks; handle++) yield [handle];
    },
  };
  const looks: number[] = Array.from({ length: chunks + 1 }, () => 0);
  const leader = { env, tables, timing: defaultMasterTiming } as unknown as LeaderWorld;
  const scan = new Scan(leader, (handle) => void looks[handle]!++);
  return { world, scan, looks };
}

describe('the scan of all chunks', () => {
  it('looks at each once more soon after it was asked to hurry, and then takes its time', async () => {
    const { world, scan, looks } = scanning();
    scan.hurry();
    await world.run(5);
    const before = [...looks];
    scan.hurry();
    await world.run(100);
    for (let handle = 1; handle <= chunks; handle++) expect(looks[handle]).toBeGreaterThan(before[handle]!);
    const after = looks.reduce((sum, n) => sum + n);
    await world.run(500);
    expect(looks.reduce((sum, n) => sum + n)).toBe(after);
    scan.stop();
  });

  it('comes to the last ones however often it is asked to hurry: by a server that comes and goes', async () => {
    const { world, scan, looks } = scanning();
    for (let i = 0; i < 20; i++) {
      scan.hurry();
      await world.run(5);
    }
    expect(looks[1]).toBeGreaterThan(0);
    expect(looks[chunks]).toBeGreaterThan(0);
    scan.stop();
  });
});
