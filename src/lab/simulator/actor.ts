/**
 * One client as its user: makes calls one after another, keeps a model of what they must have done, compares what it reads with it. It
 * outlives the client's process: after a crash the call that was under way has an unknown fate, and a new process goes on.
 */
import type { Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import type { SimRandom } from '../../platform/sim/random.ts';
import type { CairnClient } from '../../system/client/client.ts';
import type { SimCluster } from './cluster.ts';
import { mayEnd } from './expected-errors.ts';
import type { Ledger } from './ledger.ts';
import { OwnTree } from './own-tree.ts';
import type { Step, StepMaker } from './step.ts';
import { Violation } from './violation.ts';

/** The longest pause between two calls of a client that takes its time, in ms. */
const calmThinkMs = 200;

export interface ActorContext {
  readonly cluster: SimCluster;
  readonly ledger: Ledger;
  /** What a client does next. */
  readonly drawStep: (maker: StepMaker) => Step;
  readonly onViolation: (who: string, violation: Violation) => void;
  readonly note: (who: string, text: string) => void;
}

export class Actor implements StepMaker {
  readonly id: number;
  readonly node: SimNode;
  readonly tree: OwnTree;
  readonly random: SimRandom;
  readonly ledger: Ledger;
  readonly #context: ActorContext;
  #current: Step | undefined;
  #client: CairnClient | undefined;
  #isStopping = false;
  #isIdle = true;
  #isCalm = false;
  #records = 0;

  constructor(context: ActorContext, id: number) {
    this.#context = context;
    this.id = id;
    this.node = context.cluster.clientNodes[id - 1]!;
    this.ledger = context.ledger;
    this.random = context.cluster.world.random.fork(`actor ${id}`);
    this.tree = new OwnTree(`/c${id}`);
  }

  get chunkBytes(): number {
    return this.#context.cluster.scenario.chunkBytes;
  }
  get largeRecordShare(): number {
    return this.#context.cluster.scenario.largeRecordShare;
  }
  /** One server has a bad disk. */
  get mayRot(): boolean {
    return this.#context.cluster.scenario.rot !== undefined;
  }
  /** Replicas rot, and chunks remember few writers: an append may fail on one and be forgotten before it is tried again. */
  get mayBeForgotten(): boolean {
    const { windowWriters, clients } = this.#context.cluster.scenario;
    return this.mayRot && windowWriters <= clients;
  }
  /** Nothing is under way, and nothing new will be. */
  get isIdle(): boolean {
    return this.#isIdle;
  }
  /** Of the process that runs; undefined until it has found the cluster. */
  get client(): CairnClient | undefined {
    return this.#client;
  }

  nextRecord(): number {
    return ++this.#records;
  }

  /** Begins, or goes on after a crash, on the node's present process. */
  live(): void {
    this.#isIdle = false;
    if (this.#current !== undefined) this.#lostTrack(this.#current, 'the client crashed');
    this.#client = undefined;
    this.#live(this.node.env).catch((thrown: unknown) => {
      const broken = thrown instanceof Violation ? thrown : new Violation(`threw ${describe(thrown)}`);
      this.#context.onViolation(this.node.name, broken);
    });
  }

  /** Takes its time from now on: there are no faults any more that its calls could meet, and what they cost is better spent on another run. */
  calm(): void {
    this.#isCalm = true;
  }

  /** Ends after the call that is under way. */
  stop(): void {
    this.#isStopping = true;
  }

  async #live(env: Env): Promise<void> {
    const client = await this.#connect(env);
    this.#client = client;
    while (!this.#isStopping) {
      await this.#take(this.#context.drawStep(this), client);
      const { thinkMs } = this.#context.cluster.scenario;
      const longestMs = this.#isCalm ? Math.max(thinkMs, calmThinkMs) : thinkMs;
      await new Promise<void>((resolve) => env.clock.after(this.random.between(0, longestMs), resolve));
    }
    this.#isIdle = true;
  }

  async #connect(env: Env): Promise<CairnClient> {
    for (;;) {
      try {
        return await this.#context.cluster.startClient(env);
      } catch (thrown) {
        this.#mustBeExpected(toCairnError(thrown), 'finding the cluster');
      }
    }
  }

  async #take(step: Step, client: CairnClient): Promise<void> {
    const { counts } = this.ledger;
    this.#context.note(this.node.name, step.what);
    this.#current = step;
    counts.calls += 1;
    try {
      await step.run(client);
      this.#current = undefined;
    } catch (thrown) {
      if (thrown instanceof Violation) throw new Violation(`${step.what}: ${thrown.message}`);
      this.#mustBeExpected(toCairnError(thrown), step.what);
      this.#lostTrack(step, toCairnError(thrown).message);
    }
  }

  #lostTrack(step: Step, why: string): void {
    this.ledger.counts.unknown += 1;
    this.#current = undefined;
    this.#context.note(this.node.name, `${step.what}: fate unknown: ${why}`);
    step.unknown();
  }

  #mustBeExpected(error: CairnError, what: string): void {
    if (!mayEnd(error)) throw new Violation(`${what}: [${error.code}] ${describe(error)}`);
  }
}

function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const isOurs = thrown instanceof CairnError && thrown.code !== 'INTERNAL';
  return isOurs ? thrown.message : `${thrown.stack}${thrown.cause instanceof Error ? `\n${thrown.cause.stack}` : ''}`;
}
