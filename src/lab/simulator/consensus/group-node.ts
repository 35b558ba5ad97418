/**
 * One node of a group: what outlives a crash (disk, store, clock), and its present life. A pause holds back all that happens to the node; its
 * clock goes on.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { ControlRequest, DropReason, EngineStatus, Members } from '../../../core/consensus/engine.ts';
import type { Due } from './agenda.ts';
import { GroupDisk } from './group-disk.ts';
import { GroupStore } from './group-store.ts';
import type { GroupWorld, Peer, SnapshotOnItsWay } from './group-world.ts';
import type { NodeClock } from './node-clock.ts';
import { NodeLife } from './node-life.ts';
import type { Answer, Request } from './requests.ts';

export class GroupNode<Message, LogRecord> implements Peer<Message> {
  readonly id: NodeId;
  readonly clock: NodeClock;
  readonly disk: GroupDisk<LogRecord>;
  readonly #world: GroupWorld<Message, LogRecord>;
  readonly #store = new GroupStore();
  #life: NodeLife<Message, LogRecord> | undefined;
  #lives = 0;
  #pausedUntil = 0;
  /** Its log was found damaged: it will not start again. */
  isDamaged = false;
  #isRetired = false;

  constructor(world: GroupWorld<Message, LogRecord>, id: NodeId, clock: NodeClock) {
    this.#world = world;
    this.id = id;
    this.clock = clock;
    this.disk = new GroupDisk(world.kind.indexOfRecord);
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }
  /** Of the engine as it is; undefined while the node is down. */
  get status(): EngineStatus | undefined {
    return this.#life?.status;
  }
  get appliedIndex(): number {
    return this.#life?.appliedIndex ?? this.#store.durableIndex;
  }
  /** What it owes an answer to, for people; undefined if there is nothing. */
  get unanswered(): string | undefined {
    return this.#life?.desk.unanswered;
  }

  /** What it was asked to change the members into, and may yet. */
  get membersSought(): readonly Members[] {
    return this.#life?.desk.membersSought ?? [];
  }

  // ---------------------------------------------------------------- life

  start(): void {
    if (this.isUp || this.isDamaged || this.#isRetired) return;
    this.#lives += 1;
    let records: LogRecord[];
    try {
      records = this.#readLog();
    } catch (thrown) {
      this.isDamaged = true;
      this.#world.ended(this.id, String(thrown));
      return;
    }
    this.#store.lose();
    const life = new NodeLife(this.#world, records, {
      id: this.id,
      number: this.#lives,
      clock: this.clock,
      disk: this.disk,
      store: this.#store,
      after: (delayMs, run) => this.#after(delayMs, run),
      pause: (ms) => this.pause(ms),
    });
    this.#life = life;
    life.begin(records);
  }

  #readLog(): LogRecord[] {
    const { kind, host, checker } = this.#world;
    const records = this.disk.open({
      after: (delayMs, run) => void this.#after(delayMs, run),
      nextWriteMs: () => this.#world.writeMs(this.id),
      recordsDurable: (durable) => checker.watch.durable(this.id, durable),
      persisted: (io) => this.#life!.persisted(io),
      baseline: () => this.#life!.baseline(),
      failed: (why) => this.#end(why),
    });
    return host.isCoded ? records.map((record) => kind.decodeRecord(kind.encodeRecord(record))) : records;
  }

  /** @param keep which part of what was not synced survives: 0 nothing, 1 all of it */
  crash(keep: number): void {
    if (this.#life === undefined) return;
    this.#life.end();
    this.#life = undefined;
    this.#pausedUntil = 0;
    this.disk.crash(keep);
  }

  /** It is switched off, and never started again. */
  retire(): void {
    this.crash(0);
    this.#isRetired = true;
  }

  #end(why: string): void {
    this.crash(0);
    this.#world.ended(this.id, why);
  }

  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#world.agenda.nowMs + ms);
  }

  resume(): void {
    this.#pausedUntil = 0;
    this.#life?.thaw();
  }

  /** A pause that begins in the middle of its next step. */
  freeze(ms: number): void {
    this.#life?.freeze(ms);
  }

  /** Later, if this life goes on until then. */
  #after(delayMs: number, run: () => void): Due {
    const lives = this.#lives;
    const awake = () => {
      if (lives !== this.#lives || this.#life === undefined) return;
      const pauseMs = this.#pausedUntil - this.#world.agenda.nowMs;
      if (pauseMs > 0) this.#world.agenda.after(pauseMs, this.id, awake);
      else {
        this.#life.thaw();
        if (lives === this.#lives && this.isUp) run();
      }
    };
    return this.#world.agenda.after(delayMs, this.id, awake);
  }

  #whenAwake(run: (life: NodeLife<Message, LogRecord>) => void): void {
    const life = this.#life;
    if (life === undefined) return;
    const pauseMs = this.#pausedUntil - this.#world.agenda.nowMs;
    if (pauseMs > 0) this.#after(pauseMs, () => run(life));
    else {
      life.thaw();
      if (this.#life === life) run(life);
    }
  }

  // ---------------------------------------------------------------- what comes to it

  receive(from: NodeId, message: Message): void {
    if (this.#pausedUntil > 0) this.#whenAwake((life) => life.receive(from, message));
    else this.#life?.receive(from, message);
  }

  ask(request: Request, answer: (answer: Answer) => void): void {
    this.#whenAwake((life) => life.desk.ask(request, answer));
  }

  control(request: ControlRequest, answer: (why: DropReason | 'completed') => void): void {
    this.#life?.desk.control(request, answer);
  }

  takeSnapshot(snapshot: SnapshotOnItsWay, installed: () => void): boolean {
    return this.#life?.takeSnapshot(snapshot, installed) ?? false;
  }

  /** Makes the state durable, and the log shorter by what is `keep` entries behind it. */
  flush(keep: number): void {
    this.#life?.flush(keep);
  }

  /** Goes on as a copy of itself: what a copy lacks shows. */
  becomeClone(): void {
    this.#life?.becomeClone();
  }

  /** Its clock was changed: timers are set by it. */
  clockChanged(): void {
    this.#life?.setTimerAnew();
  }
}
