/**
 * One run: a cluster comes up, clients work while there are faults, everything is healed, then every call must succeed, the cluster must
 * come to rest, and what it holds must be what was acknowledged. The same seed gives the same run, event by event.
 */
import type { CairnError } from '../../core/base/errors.ts';
import type { EngineName } from '../../core/consensus/engine.ts';
import type { TraceLine } from '../../platform/sim/kernel.ts';
import type { EmittedEvent, SimNode } from '../../platform/sim/node.ts';
import { SimRandom } from '../../platform/sim/random.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import { checkLogs } from '../regions/check-logs.ts';
import { Actor } from './actor.ts';
import { checkMasters, checkReadable, checkReplicas, checkShared, checkTree, garbageCount } from './checks.ts';
import { SimCluster } from './cluster.ts';
import { makeWorld } from './host.ts';
import { Inspector } from './inspector.ts';
import { Ledger } from './ledger.ts';
import { Operator } from './operator.ts';
import { probe } from './probe.ts';
import { unrest } from './quiet.ts';
import { untilMended } from './rot.ts';
import { drawScenario, type Scenario } from './scenario.ts';
import { drawStep } from './steps.ts';
import { startStorm } from './storm.ts';
import { Trace } from './trace.ts';
import { mustHold, Violation } from './violation.ts';

/** From the start of a new cluster until it serves. */
const bootMs = 10_000;
/** From the end of the faults until sessions and leases are as before, and calls under way have ended. */
const graceMs = 3_000;
/** From there a call may take so long; a client gives up after its deadline. */
const idleMs = 40_000;
const checkMs = 120_000;
/** Until everything is copied and collected: suspects die, copies that hang end, and leavers may come back. */
const restMs = 90_000;
const attemptsMax = 10;

export interface Outcome {
  readonly seed: number;
  readonly passed: boolean;
  /** Undefined if it passed. */
  readonly why: string | undefined;
  readonly hash: string;
  readonly simulatedMs: number;
  readonly eventCount: number;
  readonly counts: Readonly<
    Record<'calls' | 'unknown' | 'records' | 'bytes' | 'cuts' | 'faults' | 'drains' | 'newDisks' | 'rotten', number>
  >;
  readonly trace: Trace;
}

export interface RunOptions {
  readonly engine?: EngineName;
  /** In place of what the seed draws. */
  readonly scenario?: Partial<Scenario>;
  readonly onLine?: ((line: string) => void) | undefined;
  readonly onKernelEvent?: ((line: TraceLine) => void) | undefined;
}

export async function runSeed(seed: number, options: RunOptions = {}): Promise<Outcome> {
  const run = new Run(seed, options);
  const strays = watchStrayRejections((error) => run.broken('a process', `rejected a promise of nobody: ${error}`));
  try {
    await run.run();
  } catch (thrown) {
    run.broken('run', thrown instanceof Violation ? thrown.message : stackOf(thrown));
  } finally {
    strays.stop();
  }
  return run.outcome;
}

class Run {
  readonly #seed: number;
  readonly #trace: Trace;
  readonly #world: SimWorld;
  readonly #cluster: SimCluster;
  readonly #ledger: Ledger;
  readonly #actors: readonly Actor[];
  readonly #operator: Operator;
  #broken: string | undefined;
  #faults = 0;
  #rotten = 0;

  constructor(seed: number, { engine = 'raft', scenario, onLine, onKernelEvent }: RunOptions) {
    this.#seed = seed;
    this.#trace = new Trace(onLine);
    const random = SimRandom.fromSeed(`scenario ${seed}`);
    const drawn: Scenario = { ...drawScenario(random), ...scenario };
    this.#world = makeWorld({ seed, onEvent: (event) => this.#emitted(event), trace: onKernelEvent });
    this.#trace.note(0, 'world', JSON.stringify(drawn));
    const onFailure = (node: SimNode, error: CairnError) =>
      this.broken(node.name, `the process gave up: [${error.code}] ${stackOf(error.cause ?? error)}`);
    this.#cluster = new SimCluster({ world: this.#world, engine, scenario: drawn, onFailure });
    this.#ledger = new Ledger(drawn, () => this.#world.now);
    const note = (who: string, text: string) => this.#note(who, text);
    const onViolation = (who: string, violation: Violation) => this.broken(who, violation.message);
    const context = { cluster: this.#cluster, ledger: this.#ledger, drawStep, onViolation, note };
    this.#operator = new Operator({ cluster: this.#cluster, onViolation, note });
    this.#actors = this.#cluster.clientNodes.map((_, i) => new Actor(context, i + 1));
  }

  async run(): Promise<void> {
    const world = this.#world;
    this.#cluster.bootAll();
    await this.#until('the cluster comes up', () => this.#cluster.isUp, bootMs);
    const inspector = new Inspector(this.#cluster);
    const checker = await world.settle(this.#cluster.startClient(world.node('checker').env), checkMs);
    await this.#settle('preparing', this.#prepare(checker));

    const storm = startStorm({
      cluster: this.#cluster,
      actors: this.#actors,
      note: (who, text) => this.#note(who, text),
    });
    for (const actor of this.#actors) actor.live();
    this.#operator.live(checker);
    await this.#until('the faults end', () => storm.isOver, this.#cluster.scenario.stormMs + 1_000);
    this.#faults = storm.faults;
    this.#rotten = storm.rotten;
    this.#note('world', 'everything is healed');
    for (const actor of this.#actors) actor.calm();
    await this.#until('all processes are up again', () => this.#cluster.isUp, bootMs);
    await this.#pass(graceMs);

    for (const one of [this.#operator, ...this.#actors]) one.stop();
    const areIdle = () => [this.#operator, ...this.#actors].every(({ isIdle }) => isIdle);
    await this.#until('calls under way end', areIdle, idleMs);
    for (const actor of this.#actors) await this.#settle(`probe of ${actor.node.name}`, probe(actor));

    if (this.#rotten > 0) await this.#settle('what has rotted is mended', untilMended(checker, this.#cluster, restMs));
    await this.#until('the cluster comes to rest', () => unrest(this.#cluster) === undefined, restMs);
    this.#operator.check();
    await this.#settle('check of shared files', checkShared(checker, this.#ledger));
    for (const actor of this.#actors) await this.#settle('check of a tree', checkTree(checker, actor));
    await this.#settle('reading all that is listed', checkReadable(checker));
    await this.#until('the cluster rests again', () => unrest(this.#cluster) === undefined, restMs);
    await this.#settle('check of replicas', checkReplicas(this.#cluster, inspector));
    await this.#settle('every byte is of somebody', checkLogs(this.#cluster, inspector, this.#ledger));
    await this.#compareMasters();
    await this.#settle('garbage', this.#untilCollected(inspector));
  }

  /** A heartbeat may bring another entry while they are looked at. */
  async #compareMasters(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      if (await this.#settle('check of masters', checkMasters(this.#cluster))) return;
      mustHold(attempt < attemptsMax, () => 'the masters do not come to rest');
      await this.#until('the cluster rests again', () => unrest(this.#cluster) === undefined, restMs);
    }
  }

  async #prepare(checker: Awaited<ReturnType<SimCluster['startClient']>>): Promise<void> {
    const random = this.#world.random.fork('prepare');
    await checker.mkdir('/shared');
    for (const { path, mode } of this.#ledger.logs)
      await checker.writeFile(path, '', { mode, durability: this.#ledger.drawDurability(random) });
    for (const { path } of this.#ledger.cutLogs)
      await checker.writeFile(path, '', { durability: this.#ledger.drawDurability(random) });
    for (const { tree } of this.#actors) await checker.mkdir(tree.root);
  }

  async #untilCollected(inspector: Inspector): Promise<void> {
    const { clock } = this.#world.node('inspector').env;
    const until = this.#world.now + restMs;
    for (;;) {
      const surplus = await garbageCount(this.#cluster, inspector);
      if (surplus === 0) return;
      mustHold(this.#world.now < until, () => `${surplus} chunks that nobody needs are still held`);
      await new Promise<void>((resolve) => clock.after(1_000, resolve));
    }
  }

  /** Runs until it holds. @throws Violation */
  async #until(what: string, holds: () => boolean, limitMs: number): Promise<void> {
    const reached = await this.#world.runUntil(() => this.#broken !== undefined || holds(), limitMs);
    this.#throwBroken();
    mustHold(reached, () => `it does not come to this within ${limitMs} ms: ${what}; ${unrest(this.#cluster) ?? ''}`);
  }

  async #pass(spanMs: number): Promise<void> {
    await this.#world.runUntil(() => this.#broken !== undefined, spanMs);
    this.#throwBroken();
  }

  async #settle<T>(what: string, promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const done = () => {
      isSettled = true;
    };
    promise.then(done, done);
    await this.#until(what, () => isSettled, checkMs);
    try {
      return await promise;
    } catch (thrown) {
      throw new Violation(`${what}: ${thrown instanceof Violation ? thrown.message : stackOf(thrown)}`);
    }
  }

  #throwBroken(): void {
    if (this.#broken !== undefined) throw new Violation(this.#broken);
  }

  /** The first thing that went wrong is the one that counts. */
  broken(who: string, what: string): void {
    this.#note(who, `BROKEN: ${what}`);
    this.#broken ??= `${who}: ${what}`;
  }

  #note(who: string, text: string): void {
    this.#trace.note(this.#world.now, who, text);
  }

  #emitted({ atMs, node, level, name, fields }: EmittedEvent): void {
    this.#trace.note(atMs, node, `${level} ${name} ${JSON.stringify(fields)}`);
  }

  get outcome(): Outcome {
    const { hash, now, eventCount } = this.#world;
    const why = this.#broken;
    const counts = {
      ...this.#ledger.counts,
      faults: this.#faults,
      drains: this.#operator.drains,
      newDisks: this.#operator.newDisks,
      rotten: this.#rotten,
    };
    const passed = why === undefined;
    return { seed: this.#seed, passed, why, hash, simulatedMs: now, eventCount, counts, trace: this.#trace };
  }
}

/** A rejection that nobody handles ends a process elsewhere: here it ends the run. */
function watchStrayRejections(onStray: (error: string) => void): { stop(): void } {
  const listener = (thrown: unknown) => {
    if (thrown instanceof Error && thrown.name === 'DeadIncarnationError') return;
    onStray(stackOf(thrown));
  };
  process.on('unhandledRejection', listener);
  return { stop: () => void process.off('unhandledRejection', listener) };
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
