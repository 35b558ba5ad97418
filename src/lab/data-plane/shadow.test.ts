/** Reads that may be a little old, through the client, on a whole cluster. */
import { describe, expect, test } from 'vitest';
import { toCairnError } from '../../core/base/errors.ts';
import { DataPlane } from './cluster.test-support.ts';

async function codeOf(plane: DataPlane, work: Promise<unknown>): Promise<string> {
  return plane.run(
    work.then(
      () => 'ok',
      (thrown) => toCairnError(thrown).code,
    ),
  );
}

describe('a shadow of the masters', () => {
  test('shows the tree while no master leads, says how old it is, and refuses what is too old', async () => {
    const plane = await DataPlane.start(1);
    const { client, cluster, world } = plane;
    await plane.run(client.mkdir('/d'));
    await plane.run(client.writeFile('/d/one', 'hello'));
    await plane.run(client.writeFile('/d/two', 'hello'));
    await world.run(4000); // leases are given back, lengths are known
    const fresh = client.shadow({ maxAgeMs: 2000 });
    expect(await plane.run(fresh.stat('/d/one'))).toMatchObject({ size: 5, isSizeExact: true });
    expect(fresh.ageMs).toBeLessThanOrEqual(2000);

    const leading = cluster.masters.find(({ process }) => process === cluster.leader)!;
    const other = cluster.masters.find((member) => member !== leading)!;
    for (const { node } of [leading, other]) node.crash();
    await world.run(5000);
    const shadow = client.shadow();
    const found: string[] = [];
    const walk = async () => {
      for await (const { path, stats } of shadow.walk('/')) found.push(`${path} ${stats.size}`);
    };
    await plane.run(walk());
    expect(found).toEqual(['/ 0', '/d 0', '/d/one 5', '/d/two 5']);
    expect(shadow.ageMs).toBeGreaterThan(4500);
    const locations = await plane.run(shadow.locations('/d/one'));
    expect(locations.map(({ index, replicas }) => [index, replicas.length])).toEqual([[0, 3]]);
    expect(await codeOf(plane, fresh.stat('/d/one'))).toBe('TOO_OLD');
    expect(await codeOf(plane, client.stat('/d/one'))).toBe('NO_QUORUM');
    expect(await codeOf(plane, shadow.stat('/none'))).toBe('NOT_FOUND');
    expect(await codeOf(plane, shadow.stat('no path'))).toBe('INVALID_ARGUMENT');
  });

  test('asks a master that does not lead, while one is there', async () => {
    const plane = await DataPlane.start(2);
    const { client, cluster, world } = plane;
    await plane.run(client.writeFile('/one', 'hello'));
    await world.run(1000);
    const leading = cluster.masters.find(({ process }) => process === cluster.leader)!;
    const shadow = client.shadow();
    await plane.run(shadow.stat('/one'));
    leading.node.pause();
    const before = world.now;
    await plane.run(shadow.stat('/one'));
    expect(world.now - before).toBeLessThan(100);
  });
});
