/**
 * How a master that has promised nothing comes by its name. All masters of the configuration found the group together once each has
 * seen all others; whoever comes later, or comes back without its disk, asks the leader for a name.
 */
import type { Address } from '../../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { nodeIdOf } from '../../../core/base/node-id.ts';
import { masterCalls } from '../../../core/protocol/master-calls.ts';
import { type DirectoryOfMaster, encodeIntroduction, type Introduction } from '../../../core/protocol/membership.ts';
import { LeaderChannel } from '../../rpc/leader-channel.ts';
import { Acquaintance } from './acquaintance.ts';
import type { JoinedAs } from './member-file.ts';
import type { Self } from './self.ts';
import { judge, mistake, type Verdict } from './verdict.ts';

/** The first word about what is waited for, and the words after it. */
const firstWordMs = 1000;
const nextWordMs = 10_000;
const askLeaderAgainMs = 300;
/** One attempt to be given a name. */
const joinAttemptMs = 3000;

export class Founding {
  readonly #self: Self;
  readonly #others: readonly Acquaintance[];
  #decide: (verdict: Verdict) => void = () => {};
  #joinHint: () => void = () => {};
  #isDeciding = false;
  #isStopped = false;
  /** For whoever asks why this master does not serve. */
  waitsFor = 'it is starting';

  constructor(self: Self) {
    this.#self = self;
    this.#others = self.others.map(
      ({ id, address }) =>
        new Acquaintance(
          self.env,
          id,
          address,
          () => self.introduction(),
          () => this.#judge(),
        ),
    );
  }

  /** Gives this master its name, and saves it. @throws CairnError CONFIG_INVALID, DUPLICATE_ID, WRONG_CLUSTER, PROTOCOL */
  async becomeMember(): Promise<void> {
    const verdict: Verdict = this.#self.isConfigured ? await this.#untilDecided() : { kind: 'join' };
    if (verdict.kind === 'refuse') throw verdict.error;
    if (verdict.kind === 'found') await this.#found(verdict.founders);
    else await this.#join();
  }

  /** Someone has introduced itself: what it says may be what is waited for. */
  met(other: Introduction): void {
    if (this.#isDeciding) this.#others.find(({ id }) => id === other.id)?.heard(other);
    this.#joinHint();
  }

  stop(): void {
    this.#isStopped = true;
    for (const other of this.#others) other.close();
  }

  // ---------------------------------------------------------------- founding

  async #untilDecided(): Promise<Verdict> {
    const stopReporting = this.#report(() => this.#missing());
    try {
      const decided = new Promise<Verdict>((resolve) => {
        this.#decide = resolve;
      });
      this.#isDeciding = true;
      for (const other of this.#others) other.ask();
      this.#judge();
      return await decided;
    } finally {
      this.#isDeciding = false;
      stopReporting();
      for (const other of this.#others) other.close();
    }
  }

  #judge(): void {
    const verdict = judge(
      this.#self.introduction(),
      this.#others.map(({ answer, failure }) => answer ?? failure),
    );
    if (verdict.kind !== 'wait') this.#decide(verdict);
  }

  #missing(): string {
    const own = this.#self.introduction();
    const missing = this.#others.flatMap(({ id, address, answer, failure }) => {
      const wrong = answer === undefined ? failure : mistake(own, answer);
      if (answer !== undefined && wrong === undefined) return [];
      return [`master ${id} at ${address} (${wrong?.message ?? 'it has not answered yet'})`];
    });
    return `a new group is founded when all its masters have met; missing: ${missing.join(', ')}`;
  }

  async #found(founders: readonly DirectoryOfMaster[]): Promise<void> {
    const self = this.#self;
    const bootstrap = founders.map(({ id }) => nodeIdOf(id, 0));
    await self.save({ ...self.record, node: nodeIdOf(self.id, 0), bootstrap, founders });
    self.env.events.emit('info', 'group_founded', { master: self.id, masters: founders.map(({ id }) => id) });
  }

  // ---------------------------------------------------------------- joining

  async #join(): Promise<void> {
    const self = this.#self;
    let why = 'no leader has answered yet';
    const stopReporting = this.#report(() => `this master is new to a group that has run: ${why}`);
    try {
      while (!this.#isStopped) {
        const joined = await this.#askForName().catch((thrown: unknown) => toCairnError(thrown));
        if (!(joined instanceof CairnError)) {
          await self.save({ ...self.record, ...joined });
          self.env.events.emit('info', 'group_joined', { master: self.id, node: joined.node });
          return;
        }
        if (joined.retry === 'never' && joined.code !== 'NOT_A_MEMBER') throw joined;
        why = joined.message;
        await this.#pause(askLeaderAgainMs);
      }
    } finally {
      stopReporting();
    }
    throw new CairnError('ABORTED', 'this master was stopped before it had joined the group');
  }

  #askForName(): Promise<JoinedAs> {
    return askForName(
      this.#self,
      this.#self.others.map(({ address }) => address),
      joinAttemptMs,
    );
  }

  /** Or until somebody who may have added this master introduces itself. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#self.env.clock.after(ms, resolve);
      this.#joinHint = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  // ---------------------------------------------------------------- what operators read

  #report(describe: () => string): () => void {
    const { clock, events } = this.#self.env;
    let timer = clock.after(firstWordMs, function again() {
      tell();
      timer = clock.after(nextWordMs, again);
    });
    const tell = () => {
      this.waitsFor = describe();
      events.emit('warn', 'master_waits', { master: this.#self.id, why: this.waitsFor });
    };
    this.waitsFor = describe();
    return () => timer.cancel();
  }
}

/**
 * Asks whoever leads for a name in the group. @throws CairnError NOT_A_MEMBER (it was not added), DUPLICATE_ID, WRONG_CLUSTER, PROTOCOL,
 * CONFIG_INVALID, NO_QUORUM
 */
export async function askForName(self: Self, masters: readonly Address[], withinMs: number): Promise<JoinedAs> {
  const { env } = self;
  if (masters.length === 0)
    throw new CairnError('NO_QUORUM', 'there is no other master to ask; list the others in the configuration');
  const channel = new LeaderChannel<typeof masterCalls, never>({
    env,
    masters,
    calls: masterCalls,
    deadlineMs: withinMs,
    greet: async (rpc) => (await rpc.call('whoLeads', {}, { timeoutMs: 700 })).response.masters,
  });
  try {
    return await channel.call('joinGroup', encodeIntroduction(self.introduction()));
  } finally {
    channel.close();
  }
}
