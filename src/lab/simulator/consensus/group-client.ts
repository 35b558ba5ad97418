/**
 * One client of a group: makes calls, a few at a time, and writes down when each began, when it ended and what it saw. A command is tried
 * again with the same session and sequence until it is answered; it counts as refused only if every try was refused for certain.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { ReadLevel } from '../../../core/consensus/engine.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import type { RegisterInput, RegisterOperation } from '../linearizability/register-model.ts';
import type { Agenda } from './agenda.ts';
import type { GroupNetwork } from './group-network.ts';
import { type Command, encodeCommand } from './register-machine.ts';
import type { Answer, Request } from './requests.ts';

export interface ClientSettings {
  readonly keys: number;
  /** Weights of what is done. */
  readonly mix: Readonly<Record<RegisterInput['kind'], number>>;
  readonly readLevels: readonly ReadLevel[];
  /** Calls of one client at a time. */
  readonly concurrency: number;
  /** Without an answer for so long, another node is asked. */
  readonly tryMs: number;
  /** Then it gives up. */
  readonly callMs: number;
  /** Probability that a call ends when it was refused for certain, instead of being tried again. */
  readonly givesUp: number;
  readonly paddingBytes: number;
}

export interface ClientWorld {
  readonly agenda: Agenda;
  readonly network: GroupNetwork;
  readonly settings: ClientSettings;
  /** Members that a client may know of, at present. */
  nodes(): readonly NodeId[];
  ask(node: NodeId, request: Request, answer: (answer: Answer) => void): void;
  /** For the history: moments in one order. */
  tick(): number;
  nextValue(): number;
  /** A value that a register may hold: what a compare-and-set might expect. */
  likelyValue(key: number): number;
  saw(key: number, value: number): void;
  refused(value: number): void;
  readonly note: ((who: string, text: string) => void) | undefined;
}

interface Call {
  readonly input: RegisterInput;
  readonly session: number;
  /** 0: a read. */
  readonly sequence: number;
  level: ReadLevel;
  readonly invokedAt: number;
  readonly beganMs: number;
  /** Until it is done, however long that takes. */
  readonly isStubborn: boolean;
  readonly done: (isDone: boolean) => void;
  tries: number;
  /** The try whose answer decides what comes next; 0 while none is out. */
  waitingFor: number;
  /** A try may have taken effect, for all that is known. */
  isDoubtful: boolean;
  isOver: boolean;
}

const retryMs = 10;
/** Sessions that one client may have, one after another. */
const sessionsMax = 1000;

export class GroupClient {
  readonly id: number;
  readonly history: RegisterOperation[] = [];
  readonly #world: ClientWorld;
  readonly #random: SimRandom;
  #session: number;
  #nextSequence = 1;
  readonly #underWay = new Set<Call>();
  /** Commands of the present session that are under way, by sequence. */
  readonly #open = new Map<number, Call>();
  #leader: NodeId | undefined;
  /** Counts the times that it was told to work. */
  #shift = 0;
  done = 0;

  constructor(world: ClientWorld, id: number, random: SimRandom) {
    this.#world = world;
    this.id = id;
    this.#random = random;
    this.#session = id * sessionsMax;
  }

  /** Makes calls from now on, some at a time, with pauses of about `thinkMs` between them; undefined: no more of them. */
  work(thinkMs: number | undefined): void {
    this.#shift += 1;
    if (thinkMs === undefined) return;
    for (let i = 0; i < this.#world.settings.concurrency; i++) this.#workOn(this.#shift, thinkMs);
  }

  /** Begins calls until so many are under way. Writes whose order nobody sees would make the search for one long. */
  burst(calls: number): void {
    while (this.#underWay.size < calls) {
      const input = this.#drawInput();
      const seeing = input.kind === 'write' ? ({ ...input, kind: 'swap' } as const) : input;
      this.#begin(seeing, this.#drawLevel(), false, () => {});
    }
  }

  #workOn(shift: number, thinkMs: number): void {
    const { agenda } = this.#world;
    agenda.after(this.#random.next() * 2 * thinkMs, this.id, () => {
      if (shift !== this.#shift) return;
      this.#begin(this.#drawInput(), this.#drawLevel(), false, () => this.#workOn(shift, thinkMs));
    });
  }

  /** One write and one read that are tried until they succeed. */
  probe(done: () => void): void {
    const key = this.#random.below(this.#world.settings.keys);
    const read = () => this.#begin({ kind: 'read', key }, 'linearizable', true, done);
    const write = () =>
      this.#begin({ kind: 'swap', key, value: this.#world.nextValue() }, 'linearizable', true, (isDone) => {
        if (isDone) read();
        else write(); // its session had expired: it goes on in another
      });
    write();
  }

  #drawInput(): RegisterInput {
    const { settings } = this.#world;
    const key = this.#random.below(settings.keys);
    const kind = this.#drawKind();
    if (kind === 'read') return { kind, key };
    const value = this.#world.nextValue();
    return kind === 'cas' ? { kind, key, value, expected: this.#world.likelyValue(key) } : { kind, key, value };
  }

  #drawLevel(): ReadLevel {
    return this.#random.pick(this.#world.settings.readLevels);
  }

  #drawKind(): RegisterInput['kind'] {
    const { mix } = this.#world.settings;
    const total = mix.read + mix.write + mix.swap + mix.cas;
    let left = this.#random.next() * total;
    for (const kind of ['read', 'write', 'swap'] as const) {
      left -= mix[kind];
      if (left < 0) return kind;
    }
    return 'cas';
  }

  #begin(input: RegisterInput, level: ReadLevel, isStubborn: boolean, done: (isDone: boolean) => void): void {
    const { agenda } = this.#world;
    const sequence = input.kind === 'read' ? 0 : this.#nextSequence++;
    const call: Call = {
      input,
      session: this.#session,
      sequence,
      level,
      invokedAt: this.#world.tick(),
      beganMs: agenda.nowMs,
      isStubborn,
      done,
      tries: 0,
      waitingFor: 0,
      isDoubtful: false,
      isOver: false,
    };
    if (sequence > 0) this.#open.set(sequence, call);
    this.#underWay.add(call);
    this.#note(call, 'begins');
    this.#try(call);
  }

  #try(call: Call): void {
    const { agenda, network, settings } = this.#world;
    if (call.isOver) return;
    const nodes = this.#world.nodes();
    const asksLeader = this.#leader !== undefined && nodes.includes(this.#leader) && call.level !== 'quorum';
    const node = asksLeader && call.tries % 3 < 2 ? this.#leader! : this.#random.pick(nodes);
    call.tries += 1;
    const attempt = call.tries;
    call.waitingFor = attempt;
    const request = this.#requestOf(call);
    network.sendToOrFromClient(this.id, () =>
      this.#world.ask(node, request, (answer) =>
        network.sendToOrFromClient(this.id, () => this.#answered(call, attempt, node, answer)),
      ),
    );
    agenda.after(settings.tryMs, this.id, () => {
      if (call.isOver || call.waitingFor !== attempt) return;
      call.isDoubtful = true;
      this.#leader = undefined;
      this.#again(call);
    });
  }

  #requestOf({ input, session, sequence, level }: Call): Request {
    if (input.kind === 'read') return { kind: 'read', key: input.key, level };
    const ackBelow = session === this.#session ? Math.min(this.#nextSequence, ...this.#open.keys()) : sequence;
    const command = encodeCommand(input as Command, this.#world.settings.paddingBytes);
    return { kind: 'command', client: session, sequence, ackBelow, command };
  }

  #answered(call: Call, attempt: number, node: NodeId, answer: Answer): void {
    if (call.isOver) return;
    switch (answer.kind) {
      case 'done':
        this.#leader = node;
        this.#end(call, { seen: answer.seen });
        break;
      case 'expired':
        call.isDoubtful = true;
        if (call.session === this.#session) this.#openSession();
        this.#end(call, undefined);
        break;
      case 'unknown':
        call.isDoubtful = true;
        if (call.waitingFor === attempt) this.#again(call);
        break;
      case 'refused':
        if (call.waitingFor !== attempt) return;
        this.#leader = answer.leader;
        if (answer.why === 'readLevelNotOffered') call.level = 'linearizable';
        if (this.#takesNo(call)) this.#giveUp(call);
        else this.#again(call);
    }
  }

  #takesNo({ input, isDoubtful, isStubborn }: Call): boolean {
    return input.kind !== 'read' && !isDoubtful && !isStubborn && this.#random.chance(this.#world.settings.givesUp);
  }

  #openSession(): void {
    this.#session += 1;
    this.#nextSequence = 1;
    this.#open.clear();
  }

  #again(call: Call): void {
    const { agenda, settings } = this.#world;
    call.waitingFor = 0;
    if (!call.isStubborn && agenda.nowMs - call.beganMs > settings.callMs) this.#giveUp(call);
    else agenda.after(retryMs * (0.5 + this.#random.next()), this.id, () => this.#try(call));
  }

  #giveUp(call: Call): void {
    const { input } = call;
    if (input.kind !== 'read' && !call.isDoubtful) this.#world.refused(input.value);
    this.#end(call, undefined);
  }

  /** Reads that failed, and commands that were refused for certain, are nothing that happened. */
  #end(call: Call, output: { readonly seen: number } | undefined): void {
    const { input, invokedAt } = call;
    call.isOver = true;
    if (call.session === this.#session) this.#open.delete(call.sequence);
    this.#underWay.delete(call);
    this.#note(
      call,
      output === undefined ? (call.isDoubtful ? 'ends, outcome unknown' : 'is refused') : `sees ${output.seen}`,
    );
    const isStale = input.kind === 'read' && call.level === 'stale';
    if (output !== undefined && !isStale) {
      this.done += 1;
      this.#world.saw(input.key, input.kind === 'write' || input.kind === 'swap' ? input.value : output.seen);
      const seen = input.kind === 'write' ? undefined : output.seen;
      this.history.push({ client: this.id, invokedAt, input, returned: { at: this.#world.tick(), output: { seen } } });
    } else if (output === undefined && call.isDoubtful && input.kind !== 'read')
      this.history.push({ client: this.id, invokedAt, input, returned: undefined });
    call.done(output !== undefined);
  }

  /** Calls under way when all is over: of unknown outcome. */
  abandon(): void {
    for (const call of this.#underWay) {
      const { input, invokedAt } = call;
      call.isOver = true;
      if (input.kind !== 'read') this.history.push({ client: this.id, invokedAt, input, returned: undefined });
    }
    this.#underWay.clear();
  }

  #note({ input, sequence, level }: Call, what: string): void {
    const { note } = this.#world;
    if (note === undefined) return;
    const { kind, key } = input;
    const name = kind === 'read' ? `${level} read` : `${kind} #${sequence} of ${input.value}`;
    const expected = kind === 'cas' ? ` over ${input.expected}` : '';
    note(`c${this.id}`, `${name}${expected} at key ${key} ${what}`);
  }
}
