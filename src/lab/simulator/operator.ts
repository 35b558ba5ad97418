/**
 * Who runs the cluster: has chunkservers emptied and lets them have chunks again, hands leadership over, and gives masters new disks, while everything
 * else goes wrong.
 */
import { toServerId } from '../../core/base/brand.ts';
import { type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import type { SimRandom } from '../../platform/sim/random.ts';
import type { CairnClient } from '../../system/client/client.ts';
import type { SimCluster } from './cluster.ts';
import { mayEnd } from './expected-errors.ts';
import { mustHold, Violation } from './violation.ts';

/** So many are never drained at one time: what is new is on two servers at least. */
const stayingMin = 2;

export interface OperatorContext {
  readonly cluster: SimCluster;
  readonly onViolation: (who: string, violation: Violation) => void;
  readonly note: (who: string, text: string) => void;
}

export class Operator {
  readonly #context: OperatorContext;
  readonly #random: SimRandom;
  /** Whether each server is being emptied, for sure; those missing are in doubt after a command of unknown outcome. */
  readonly #known: Map<number, boolean>;
  #isStopping = false;
  #underWay = 0;
  drains = 0;
  newDisks = 0;

  constructor(context: OperatorContext) {
    this.#context = context;
    this.#random = context.cluster.world.random.fork('operator');
    this.#known = new Map(context.cluster.chunkservers.map(({ id }) => [id, false]));
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.#underWay === 0;
  }

  /** Begins, with what this run has. */
  live(client: CairnClient): void {
    const { drainEveryMs, rot, group } = this.#context.cluster.scenario;
    const { transferEveryMs, replaceDiskEveryMs } = group;
    if (drainEveryMs !== undefined)
      this.#again(drainEveryMs, this.#random.fork('drains'), (random) => this.#turn(client, random));
    if (rot !== undefined) this.#again(rot.scrubEveryMs, this.#random.fork('scrubs'), () => this.#scrub(client));
    if (transferEveryMs !== undefined)
      this.#again(transferEveryMs, this.#random.fork('transfers'), (random) => this.#transfer(client, random));
    if (replaceDiskEveryMs !== undefined)
      this.#again(replaceDiskEveryMs, this.#random.fork('disks'), (random) => this.#replaceDisk(random));
  }

  /** Ends after the call that is under way; what is being drained then is left to end. */
  stop(): void {
    this.#isStopping = true;
  }

  /** What was acknowledged is what the masters know. @throws Violation */
  check(): void {
    for (const [id, isDraining] of this.#known) {
      const shown = this.#context.cluster.tables!.server(toServerId(id))?.draining;
      mustHold(shown === isDraining, () => `s${id} was told to be drained: ${isDraining}; the master says ${shown}`);
    }
  }

  /** Does it again and again, at random times. */
  #again(everyMs: number, random: SimRandom, act: (random: SimRandom) => Promise<void>): void {
    const { clock } = this.#context.cluster.world.node('operator').env;
    const plan = () =>
      clock.after(random.between(0, 2 * everyMs), () => {
        if (this.#isStopping) return;
        this.#underWay += 1;
        act(random)
          .catch((thrown: unknown) => {
            const broken = thrown instanceof Violation ? thrown : new Violation(`threw ${toCairnError(thrown).stack}`);
            this.#context.onViolation('operator', broken);
          })
          .finally(() => {
            this.#underWay -= 1;
            plan();
          });
      });
    plan();
  }

  async #turn(client: CairnClient, random: SimRandom): Promise<void> {
    const server = random.pick(this.#context.cluster.chunkservers).id;
    const undo = this.#known.get(server);
    if (undo === undefined || !(undo || this.#mayDrain())) return;
    const what = `drain s${server}${undo ? ', undone' : ''}`;
    this.#known.delete(server);
    await this.#command(what, async () => {
      await client.drain(server, { undo });
      this.#known.set(server, !undo);
      this.drains += 1;
    });
  }

  async #scrub(client: CairnClient): Promise<void> {
    await this.#command('scrub', () => client.scrub({ now: true }));
  }

  /** A master with a new disk has no vote for a while, and one that hangs takes nothing over. */
  async #transfer(client: CairnClient, random: SimRandom): Promise<void> {
    const { id } = random.pick(this.#context.cluster.masters);
    const mayRefuse = ['INVALID_ARGUMENT', 'NOT_FOUND', 'ABORTED'] as const;
    await this.#command(`hand leadership to m${id}`, () => client.masters.transferLeadership(id), mayRefuse);
  }

  /** Of one master at a time: the others vote, and have everything. */
  async #replaceDisk(random: SimRandom): Promise<void> {
    const { cluster, note } = this.#context;
    if (!cluster.areMastersWhole) return;
    const master = random.pick(cluster.masters);
    note('operator', `m${master.id} is given an empty disk`);
    cluster.replaceDisk(master);
    this.newDisks += 1;
  }

  async #command(what: string, run: () => Promise<unknown>, also: readonly ErrorCode[] = []): Promise<void> {
    this.#context.note('operator', what);
    try {
      await run();
    } catch (thrown) {
      const error = toCairnError(thrown);
      mustHold(mayEnd(error) || also.includes(error.code), () => `${what}: [${error.code}] ${error.message}`);
      this.#context.note('operator', `${what}: fate unknown: ${error.message}`);
    }
  }

  #mayDrain(): boolean {
    const staying = [...this.#known.values()].filter((isDraining) => !isDraining).length;
    return staying > stayingMin;
  }
}
