/**
 * What is asked of one node in one life, and not answered yet: commands on their way in batches, reads waiting to be granted and applied,
 * control requests. One entry of the log holds all commands that waited for their turn.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type {
  ControlId,
  ControlRequest,
  Dropped,
  DropReason,
  Input,
  LogIndex,
  Members,
  Proposal,
  ReadId,
  ReadLevel,
} from '../../../core/consensus/engine.ts';
import type { CommandOutcome } from '../../../system/rsm/applier.ts';
import { encodeBatch } from '../../../system/rsm/batch.ts';
import { hold } from './broken-rule.ts';
import { decodeSeen } from './register-machine.ts';
import type { Answer, Request } from './requests.ts';

export interface Desk {
  readonly node: NodeId;
  readonly session: number;
  readonly batchesInFlight: number;
  /** What everybody has committed by now. */
  committed(): number;
  appliedIndex(): number;
  leader(): NodeId | undefined;
  leads(): boolean;
  /** Of the batch that is proposed now, by the clock of the node, and no earlier than the last one. */
  timeOfBatch(): number;
  readRegister(key: number): number;
  now(): Extract<Input<never>, { kind: 'tick' }>['now'];
  input(input: Extract<Input<never>, { kind: 'propose' | 'read' | 'control' }>): void;
}

type Answering = (answer: Answer) => void;
type Command = { readonly request: Extract<Request, { kind: 'command' }>; readonly answer: Answering };
type Control = { readonly request: ControlRequest; readonly answer: (why: DropReason | 'completed') => void };
type Read = { readonly key: number; readonly level: ReadLevel; readonly mustSee: number; readonly answer: Answering };

export class ServiceDesk {
  readonly #desk: Desk;
  #gathering: Command[] = [];
  readonly #batches = new Map<number, readonly Command[]>();
  #nextBatch = 1;
  readonly #reads = new Map<ReadId, Read>();
  #granted: { readonly index: number; readonly read: Read }[] = [];
  #nextRead = 1;
  readonly #controls = new Map<ControlId, Control>();
  #nextControl = 1;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  ask(request: Request, answer: Answering): void {
    if (request.kind === 'read') this.#askRead(request.key, request.level, answer);
    else if (!this.#desk.leads()) answer(this.#refused('notLeader'));
    else {
      this.#gathering.push({ request, answer });
      this.propose();
    }
  }

  #askRead(key: number, level: ReadLevel, answer: Answering): void {
    const id = this.#nextRead++ as ReadId;
    this.#reads.set(id, { key, level, mustSee: this.#desk.committed(), answer });
    this.#desk.input({ kind: 'read', id, level, now: this.#desk.now() });
  }

  control(request: ControlRequest, answer: Control['answer']): void {
    const id = this.#nextControl++ as ControlId;
    this.#controls.set(id, { request, answer });
    this.#desk.input({ kind: 'control', id, request, now: this.#desk.now() });
  }

  propose(): void {
    const { session, batchesInFlight } = this.#desk;
    while (this.#gathering.length > 0 && this.#batches.size < batchesInFlight) {
      const commands = this.#gathering;
      this.#gathering = [];
      const sequence = this.#nextBatch++;
      this.#batches.set(sequence, commands);
      const data = encodeBatch({
        time: this.#desk.timeOfBatch(),
        commands: commands.map(({ request: { client, sequence: number, ackBelow, command } }) => {
          return { client, sequence: number, ackBelow, command };
        }),
      });
      const proposals: readonly Proposal[] = [{ session, sequence, data }];
      this.#desk.input({ kind: 'propose', proposals, now: this.#desk.now() });
    }
  }

  batchApplied(session: number, sequence: number, outcomes: readonly CommandOutcome[]): void {
    if (session !== this.#desk.session) return;
    const commands = this.#batches.get(sequence);
    // one that was dropped as of unknown outcome may be committed all the same
    if (commands === undefined) return;
    this.#batches.delete(sequence);
    for (const [i, { answer }] of commands.entries()) {
      const outcome = outcomes[i]!;
      if (outcome instanceof Uint8Array) answer({ kind: 'done', seen: decodeSeen(outcome) });
      else answer(outcome.code === 'SESSION_EXPIRED' ? { kind: 'expired' } : this.#refused('queueFull'));
    }
  }

  /** It took effect, and nobody here knows with what results. */
  batchSkipped(session: number, sequence: number): void {
    const commands = session === this.#desk.session ? this.#batches.get(sequence) : undefined;
    if (commands === undefined) return;
    this.#batches.delete(sequence);
    for (const { answer } of commands) answer({ kind: 'unknown' });
  }

  granted(id: ReadId, index: LogIndex): void {
    const read = this.#takeRead(id);
    const isFresh = read.level === 'stale' || index >= read.mustSee;
    hold(
      isFresh,
      'fresh read',
      () => `n${this.#desk.node} grants a ${read.level} read at ${index}; ${read.mustSee} was committed before`,
    );
    if (index <= this.#desk.appliedIndex()) this.#serve(read);
    else this.#granted.push({ index, read });
  }

  /** More has been applied: reads that waited for it are served. */
  applied(): void {
    if (this.#granted.length > 0) {
      const index = this.#desk.appliedIndex();
      const ready = this.#granted.filter((granted) => granted.index <= index);
      this.#granted = this.#granted.filter((granted) => granted.index > index);
      for (const { read } of ready) this.#serve(read);
    }
    if (this.#gathering.length > 0) this.propose();
  }

  /** The node leads no more: what was not proposed is refused. */
  steppedDown(): void {
    for (const { answer } of this.#gathering.splice(0)) answer(this.#refused('notLeader'));
  }

  dropped(dropped: Dropped): void {
    switch (dropped.kind) {
      case 'proposal': {
        const commands = this.#batches.get(dropped.sequence);
        const isOurs = dropped.session === this.#desk.session && commands !== undefined;
        hold(
          isOurs,
          'contract',
          () => `n${this.#desk.node} drops proposal ${dropped.sequence}, which it does not hold`,
        );
        this.#batches.delete(dropped.sequence);
        for (const { answer } of commands) answer(this.#lost(dropped.reason));
        break;
      }
      case 'read':
        this.#takeRead(dropped.id).answer(this.#refused(dropped.reason));
        break;
      case 'control':
        this.#takeControl(dropped.id)(dropped.reason);
    }
  }

  completed(id: ControlId): void {
    this.#takeControl(id)('completed');
  }

  /** What is still not answered, for people; undefined if there is nothing. */
  get unanswered(): string | undefined {
    const open = { batches: this.#batches.size, reads: this.#reads.size, controls: this.#controls.size };
    const names = Object.entries(open).filter(([, count]) => count > 0);
    return names.length === 0 ? undefined : names.map(([name, count]) => `${count} ${name}`).join(', ');
  }

  /** The members of changes that are asked for and not answered: the engine may go on to them at any moment. */
  get membersSought(): readonly Members[] {
    return [...this.#controls.values()].flatMap(({ request }) =>
      request.kind === 'changeMembers' ? [request.members] : [],
    );
  }

  #lost(reason: DropReason): Answer {
    return reason === 'steppedDown' ? { kind: 'unknown' } : this.#refused(reason);
  }

  #refused(why: DropReason): Answer {
    return { kind: 'refused', why, leader: this.#desk.leader() };
  }

  #serve({ key, answer }: Read): void {
    answer({ kind: 'done', seen: this.#desk.readRegister(key) });
  }

  #takeRead(id: ReadId): Read {
    const read = this.#reads.get(id);
    hold(read !== undefined, 'contract', () => `n${this.#desk.node} answers read ${id}, which is not waiting`);
    this.#reads.delete(id);
    return read;
  }

  #takeControl(id: ControlId): Control['answer'] {
    const control = this.#controls.get(id);
    hold(control !== undefined, 'contract', () => `n${this.#desk.node} answers request ${id}, which is not waiting`);
    this.#controls.delete(id);
    return control.answer;
  }
}
