/**
 * Bits that flip in the chunk files of one server, whose disk is bad. A whole copy of each chunk stays: nothing happens to the other
 * chunkservers or between them in such a run, and no bit flips while a chunk is on this server alone.
 */
import { toServerId } from '../../core/base/brand.ts';
import { FaultDriver, type MayInject } from '../../platform/sim/fault-driver.ts';
import { networkHarm } from '../../platform/sim/fault-plan.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import type { CairnClient } from '../../system/client/client.ts';
import type { SimCluster } from './cluster.ts';
import { mustHold } from './violation.ts';

const holdsChunks = ['store/chunks/', 'store/slabs/'];
const momentMs = [1, 1] as const;
const lookEveryMs = 200;

/** Of all other faults: whether they leave the copies of the other servers alone. */
export function sparingCopies({ chunkservers, scenario }: SimCluster): MayInject {
  const { rot } = scenario;
  if (rot === undefined) return () => true;
  const others = new Set(chunkservers.filter(({ id }) => id !== rot.server).map(({ node }) => node));
  // a sound replica may leave its set by what is done to the network, wherever that strikes
  return (kind, node) => !networkHarm.has(kind) && !others.has(node);
}

/** Undefined if this run has none. */
export function startRot(
  cluster: SimCluster,
  restart: (node: SimNode) => void,
  note: (what: string) => void,
): FaultDriver | undefined {
  const { world, scenario, chunkservers } = cluster;
  const { rot, stormMs } = scenario;
  if (rot === undefined) return undefined;
  const { node } = chunkservers.find(({ id }) => id === rot.server)!;
  return new FaultDriver(world, {
    plan: [{ kind: 'bitRot', everyMs: rot.everyMs, lastsMs: momentMs }],
    nodes: [node],
    fromMs: world.now,
    untilMs: world.now + stormMs,
    restart,
    mayInject: () => isElsewhereToo(cluster, rot.server),
    // A server whose journal or metadata rot does not start: that is no matter of chunks.
    mayDamage: (_, path) => holdsChunks.some((directory) => path.startsWith(directory)),
    onChange: ({ what }) => note(what),
  });
}

function isElsewhereToo({ tables }: SimCluster, server: number): boolean {
  if (tables === undefined) return false;
  const id = toServerId(server);
  return [...tables.chunks(0)].every(([, { servers }]) => !servers.includes(id) || servers.length > 1);
}

/** What has rotted is found by the scrubbers, and made anew until they find nothing more. @throws Violation */
export async function untilMended(client: CairnClient, { world }: SimCluster, limitMs: number): Promise<void> {
  const { clock } = world.node('checker').env;
  const pause = () => new Promise<void>((resolve) => clock.after(lookEveryMs, resolve));
  const until = world.now + limitMs;
  for (;;) {
    await client.scrub({ now: true });
    let passes = await client.scrub();
    while (passes.some((pass) => pass.error === undefined && pass.isRunning)) {
      await pause();
      passes = await client.scrub();
    }
    const damaged = passes.flatMap((pass) => (pass.error === undefined ? pass.damaged : []));
    if (damaged.length === 0 && passes.every(({ error }) => error === undefined)) return;
    mustHold(world.now < until, () => `chunks stay damaged: ${damaged.map(({ handle }) => handle).join(' ')}`);
    await pause();
  }
}
