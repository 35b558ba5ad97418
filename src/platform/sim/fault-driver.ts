/**
 * Injects the faults of a plan over a span of virtual time, each for a while, and heals everything at its end, so that a
 * scenario can then ask for progress. What must never be broken at the same time is a predicate of the scenario.
 */
import { assert } from '../../core/base/assert.ts';
import type { Timer } from '../../core/base/env.ts';
import { type FaultKind, type FaultPlan, type PlannedFault, takesDown } from './fault-plan.ts';
import { type FaultScene, faults } from './faults.ts';
import type { SimNode } from './node.ts';
import type { SimWorld } from './world.ts';

export interface ActiveFault {
  readonly kind: FaultKind;
  /** Its target; a fault of the network may touch others besides. */
  readonly node: SimNode;
  readonly what: string;
  readonly sinceMs: number;
}

/** Whether this may happen to this node while those last. */
export type MayInject = (kind: FaultKind, node: SimNode, active: readonly ActiveFault[]) => boolean;

export interface FaultDriverOptions {
  readonly plan: FaultPlan;
  readonly nodes: readonly SimNode[];
  /** Points in virtual time: no fault before the first, everything healed at the second. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** Calls `node.restart()` and starts the program again. */
  readonly restart: (node: SimNode) => void;
  readonly mayInject?: MayInject;
  /** Which files may be damaged on the disk, or fail; all by default. */
  readonly mayDamage?: (node: SimNode, path: string) => boolean;
  /** Told when a fault begins, and when one that lasted ends. */
  readonly onChange?: (fault: ActiveFault, isOver: boolean) => void;
}

interface Undoable {
  readonly fault: ActiveFault;
  readonly undo: () => void;
  readonly timer: Timer;
}

/** At most `most` of these nodes do nothing at the same time; the other nodes are not bounded. */
export function atMostDown(names: readonly string[], most: number): MayInject {
  return (kind, node, active) => {
    if (!takesDown.has(kind) || !names.includes(node.name)) return true;
    const down = active.filter((fault) => takesDown.has(fault.kind) && names.includes(fault.node.name));
    const others = new Set(down.map((fault) => fault.node.name).filter((name) => name !== node.name));
    return others.size < most;
  };
}

export class FaultDriver {
  /** Everything that was injected, in order. */
  readonly history: ActiveFault[] = [];
  readonly #world: SimWorld;
  readonly #options: FaultDriverOptions;
  readonly #scene: FaultScene;
  readonly #active = new Set<Undoable>();
  readonly #timers = new Map<PlannedFault, Timer>();
  #isOver = false;

  /** The faults happen while the world runs. */
  constructor(world: SimWorld, options: FaultDriverOptions) {
    assert(options.nodes.length > 0, 'faults happen to somebody');
    assert(options.fromMs >= world.now && options.untilMs >= options.fromMs, 'faults happen in a span to come');
    this.#world = world;
    this.#options = options;
    const { nodes, restart, mayDamage = () => true } = options;
    this.#scene = { world, random: world.random.fork('faults'), nodes, restart, mayDamage };
    for (const planned of options.plan) this.#plan(planned, options.fromMs - world.now);
    world.after(options.untilMs - world.now, () => this.heal());
  }

  get active(): readonly ActiveFault[] {
    return [...this.#active].map(({ fault }) => fault);
  }

  /** Everything is healed, and nothing more will be injected. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends the faults now: takes back what lasts, and starts what is down. */
  heal(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const timer of this.#timers.values()) timer.cancel();
    for (const one of [...this.#active]) this.#undo(one);
    this.#world.network.heal();
    for (const node of this.#options.nodes) node.disk.healFaults();
  }

  #plan(planned: PlannedFault, afterMs: number): void {
    const untilNextMs = afterMs + this.#scene.random.between(0, 2 * planned.everyMs);
    const timer = this.#world.after(untilNextMs, () => {
      this.#inject(planned);
      this.#plan(planned, 0);
    });
    this.#timers.set(planned, timer);
  }

  #inject({ kind, lastsMs }: PlannedFault): void {
    const { nodes, mayInject = () => true } = this.#options;
    const { random } = this.#scene;
    const node = random.pick(nodes);
    const { active } = this;
    if (active.some((fault) => fault.kind === kind && fault.node === node)) return;
    if (!mayInject(kind, node, active)) return;
    const injected = faults[kind](this.#scene, node);
    if (injected === undefined) return;
    const fault: ActiveFault = { kind, node, what: injected.what, sinceMs: this.#world.now };
    this.history.push(fault);
    this.#options.onChange?.(fault, false);
    if (injected.undo === undefined) return;
    const timer = this.#world.after(random.between(...lastsMs), () => this.#undo(undoable));
    const undoable: Undoable = { fault, undo: injected.undo, timer };
    this.#active.add(undoable);
  }

  #undo(undoable: Undoable): void {
    this.#active.delete(undoable);
    undoable.timer.cancel();
    undoable.undo();
    this.#options.onChange?.(undoable.fault, true);
  }
}
