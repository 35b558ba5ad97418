/**
 * The faults of a run, and what is never broken at the same time: of the masters a minority, of the chunkservers one. Bytes of durability
 * `memory` live in page caches, so where there are such files at most one chunkserver loses power, with all copies whole. Until they are whole
 * again nothing else is amiss where servers that are away are soon given up; where they are waited for, nothing else loses power.
 */
import { type ActiveFault, atMostDown, FaultDriver, type MayInject } from '../../platform/sim/fault-driver.ts';
import type { FaultKind } from '../../platform/sim/fault-plan.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import type { Actor } from './actor.ts';
import type { SimCluster } from './cluster.ts';
import { sparingCopies, startRot } from './rot.ts';

const losesPower: ReadonlySet<FaultKind> = new Set<FaultKind>(['powerLoss', 'vanish']);
/** What can take a replica out of its set, or stop its repair. */
const networkKinds: ReadonlySet<FaultKind> = new Set<FaultKind>(['partition', 'isolate', 'blackhole', 'pairPartition']);
const repairedAfterMs = 8_000;
const blackoutMs = 1_000;

export interface StormOptions {
  readonly cluster: SimCluster;
  readonly actors: readonly Actor[];
  readonly note: (who: string, text: string) => void;
}

export interface Storm {
  readonly isOver: boolean;
  readonly faults: number;
  /** Bits that have flipped. */
  readonly rotten: number;
}

export function startStorm({ cluster, actors, note }: StormOptions): Storm {
  const { world, scenario } = cluster;
  const nodes = [...cluster.masters, ...cluster.chunkservers].map(({ node }) => node).concat(cluster.clientNodes);
  const restart = (node: SimNode) => {
    if (cluster.restart(node)) return;
    node.restart();
    actors.find((actor) => actor.node === node)!.live();
  };
  if (scenario.blackoutAtMs !== undefined) {
    world.after(scenario.blackoutAtMs, () => {
      note('world', 'all masters and chunkservers lose power');
      cluster.blackout();
    });
    world.after(scenario.blackoutAtMs + blackoutMs, () => {
      note('world', 'power is back');
      for (const { node } of [...cluster.masters, ...cluster.chunkservers]) if (!node.isUp) restart(node);
    });
  }
  const rot = startRot(cluster, restart, (what) => note('world', what));
  const driver = new FaultDriver(world, {
    plan: scenario.faults,
    nodes,
    fromMs: world.now,
    untilMs: world.now + scenario.stormMs,
    restart,
    mayInject: boundsOf(cluster),
    onChange: ({ what }, isOver) => note('world', isOver ? `over: ${what}` : what),
  });
  return {
    get isOver() {
      return driver.isOver && rot?.isOver !== false;
    },
    get faults() {
      return driver.history.length;
    },
    get rotten() {
      return rot?.history.length ?? 0;
    },
  };
}

function boundsOf(cluster: SimCluster): MayInject {
  const names = (members: readonly { readonly node: SimNode }[]) => members.map(({ node }) => node.name);
  const few = [atMostDown(names(cluster.masters), 1), atMostDown(names(cluster.chunkservers), 1)];
  const copies = sparingCopies(cluster);
  const memory = cluster.scenario.hasMemoryFiles ? sparingMemory(cluster) : () => true;
  return (kind, node, active) => [...few, copies].every((may) => may(kind, node, active)) && memory(kind, node, active);
}

function sparingMemory(cluster: SimCluster): MayInject {
  const { world } = cluster;
  const holdsBytes = new Set(cluster.chunkservers.map(({ node }) => node));
  const isPatient = isPatientOf(cluster);
  let lostPowerAt: number | undefined;
  return (kind, node, active) => {
    const isRepairing = !isPatient && lostPowerAt !== undefined && world.now < lostPowerAt + repairedAfterMs;
    if (isRepairing && (networkKinds.has(kind) || holdsBytes.has(node))) return false;
    if (!losesPower.has(kind) || !holdsBytes.has(node)) return true;
    if (lostPowerAt !== undefined || active.some(threatens(holdsBytes)) || !areAllCopiesWhole(cluster)) return false;
    lostPowerAt = world.now;
    return true;
  };
}

/** Whether servers that are away for a while are waited for, whatever happens to them one after another. */
function isPatientOf({ scenario }: SimCluster): boolean {
  const longestMs = Math.max(...scenario.faults.map(({ lastsMs }) => lastsMs[1]));
  return scenario.masterTiming.deadAfterMs >= 4 * longestMs;
}

function threatens(holdsBytes: ReadonlySet<SimNode>): (fault: ActiveFault) => boolean {
  return ({ kind, node }) => networkKinds.has(kind) || holdsBytes.has(node);
}

function areAllCopiesWhole({ isUp, tables, scenario }: SimCluster): boolean {
  if (!isUp || tables === undefined) return false;
  return [...tables.chunks(0)].every(([, { servers }]) => servers.length >= scenario.replication);
}
