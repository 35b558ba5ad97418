/** What each kind of fault does to a world, and how it is taken back. */
import type { DiskFault } from './disk-image.ts';
import type { FaultKind } from './fault-plan.ts';
import type { CrashOptions, SimNode } from './node.ts';
import type { SimRandom } from './random.ts';
import type { SimWorld } from './world.ts';

/** A fault that happened. */
export interface Injected {
  /** For people: what happened to whom. */
  readonly what: string;
  /** Undefined for a fault of a moment. */
  readonly undo?: () => void;
}

export interface FaultScene {
  readonly world: SimWorld;
  readonly random: SimRandom;
  /** The nodes that take part in faults; never empty. */
  readonly nodes: readonly SimNode[];
  /** Restarts a node that crashed, with its program. */
  readonly restart: (node: SimNode) => void;
  /** Which files may be damaged. */
  readonly mayDamage: (node: SimNode, path: string) => boolean;
}

type Inject = (scene: FaultScene, target: SimNode) => Injected | undefined;

/** Probabilities per operation or segment. */
const rates = [0.1, 0.01, 0.001];

/** By kind; undefined when there was nothing to do it to. */
export const faults: Readonly<Record<FaultKind, Inject>> = {
  kill: crash({}),
  powerLoss: crash({ loseUnsynced: true }),
  vanish: crash({ loseUnsynced: true, silent: true }),
  pause: (_, node) => {
    if (!node.isUp || node.isPaused) return undefined;
    const { env } = node;
    node.pause();
    return { what: `${node.name} stopped`, undo: () => resumeLife(node, env) };
  },
  clockDrift: ({ random }, node) => {
    const ppm = random.between(-20_000, 20_000);
    node.clock.setDrift(ppm);
    return { what: `clock of ${node.name} runs ${ppm} ppm off`, undo: () => node.clock.setDrift(node.clockDriftPpm) };
  },
  wallJump: ({ random }, node) => {
    const byMs = random.between(-3_600_000, 3_600_000);
    node.clock.jumpWall(byMs);
    return { what: `wall clock of ${node.name} jumped by ${byMs} ms` };
  },

  partition: ({ world, random, nodes }) => {
    if (nodes.length < 2) return undefined;
    const names = random.shuffled(nodes.map(({ name }) => name));
    const cut = random.between(1, names.length - 1);
    const sides = [names.slice(0, cut), names.slice(cut)] as const;
    return { what: `${sides[0].join(' ')} | ${sides[1].join(' ')}`, undo: world.network.partition(...sides) };
  },
  isolate: ({ world }, { name }) => ({ what: `${name} is cut off`, undo: world.network.isolate(name) }),
  blackhole: (scene, { name }) => {
    const other = anotherThan(scene, name);
    if (other === undefined) return undefined;
    return { what: `${name} does not reach ${other}`, undo: scene.world.network.blackhole([name], [other]) };
  },
  pairPartition: (scene, { name }) => {
    const other = anotherThan(scene, name);
    if (other === undefined) return undefined;
    return { what: `${name} | ${other}`, undo: scene.world.network.partition([name], [other]) };
  },
  slowLink: (scene, { name }) => {
    const other = anotherThan(scene, name);
    if (other === undefined) return undefined;
    const shape = { extraLatencyMs: scene.random.between(1, 300), bytesPerMs: scene.random.between(100, 100_000) };
    return { what: `${name} → ${other} is slow`, undo: scene.world.network.shape(name, other, shape) };
  },
  lossyLink: (scene, { name }) => {
    const other = anotherThan(scene, name);
    if (other === undefined) return undefined;
    const shape = { lossRate: scene.random.pick(rates), resetRate: scene.random.pick(rates) / 10 };
    return { what: `${name} → ${other} loses`, undo: scene.world.network.shape(name, other, shape) };
  },
  resetConnections: (scene, { name }) => {
    const other = anotherThan(scene, name);
    if (other === undefined) return undefined;
    scene.world.network.reset(name, other);
    return { what: `connections of ${name} and ${other} were reset` };
  },

  diskStall: (_, { name, disk }) => {
    if (disk.isStalled) return undefined;
    disk.stall();
    return { what: `disk of ${name} stalls`, undo: () => disk.unstall() };
  },
  diskSlow: ({ random }, { name, disk }) => {
    disk.slowness = random.between(2, 100);
    return { what: `disk of ${name} is ${disk.slowness} times slower`, undo: () => disk.healSpeed() };
  },
  diskFull: (_, { name, disk }) => {
    disk.capacityBytes = disk.usedBytes;
    return { what: `disk of ${name} is full`, undo: () => disk.healCapacity() };
  },
  readErrors: rated('readError'),
  writeErrors: rated('writeError'),
  syncErrors: rated('syncError'),
  tornWrites: rated('tornWrite'),
  misdirectedWrites: rated('misdirectedWrite'),
  lostWrites: rated('lostWrite'),
  bitRot: ({ random, mayDamage }, node) => {
    const { disk } = node;
    const paths = disk.paths().filter((path) => mayDamage(node, path) && disk.read(path).length > 0);
    if (paths.length === 0) return undefined;
    const path = random.pick(paths);
    const offset = random.below(disk.read(path).length);
    disk.flipBit(path, offset, random.below(8));
    return { what: `a bit of ${node.name}:${path} at ${offset} flipped` };
  },
};

function crash(how: CrashOptions): Inject {
  return ({ restart }, node) => {
    if (!node.isUp) return undefined;
    node.crash(how);
    const undo = () => {
      if (!node.isUp) restart(node);
    };
    return { what: `${node.name} crashed ${JSON.stringify(how)}`, undo };
  };
}

function rated(fault: DiskFault): Inject {
  return ({ random, mayDamage }, node) => {
    const { name, disk } = node;
    disk.faultRates[fault] = random.pick(rates);
    disk.mayStrike = (path) => mayDamage(node, path);
    return { what: `${fault} on ${name}`, undo: () => disk.healFault(fault) };
  };
}

function anotherThan({ random, nodes }: FaultScene, name: string): string | undefined {
  const others = nodes.filter((node) => node.name !== name);
  return others.length === 0 ? undefined : random.pick(others).name;
}

/** Unless a crash has ended the pause already. */
function resumeLife(node: SimNode, env: SimNode['env']): void {
  if (node.isUp && node.env === env) node.resume();
}
