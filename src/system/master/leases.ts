/**
 * Chunk leases (GFS §3.1), as log entries: who asks first gets a new version, everyone else the same grant. A grant only ever shrinks the set;
 * a server is left out when its session has lapsed, or when it has dropped its replica on request. Both are events, waited for
 * within a bound.
 */
import type { ChunkHandle, InodeId, ServerId } from '../../core/base/brand.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { IfMissing, masterCalls } from '../../core/protocol/master-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { Gate } from './gate.ts';
import { type Concerns, fileOf, grantOf, type LeaderWorld, mustHaveChunksOf } from './leader-world.ts';
import { valueOrThrow } from './refusal.ts';
import { Splitting } from './splitting.ts';
import { cutChunk } from './state/chunks.ts';
import { doneResult, type Granted, grantResult } from './state/commands.ts';
import { isSettled } from './state/copies.ts';
import type { ChunkRecord, FileInode } from './state/records.ts';
import { type Held, heldBy, isWhole } from './whole-replicas.ts';

/** Calls for leases that may be under way at once. */
export const leaseCallsMax = 10_000;
const dropMs = 1000;

type AcquireRequest = RequestOf<typeof masterCalls.acquire>;
type ExcludeRequest = RequestOf<typeof masterCalls.exclude>;

export class Leases {
  readonly #world: LeaderWorld;
  /** Told of each chunk that has fewer replicas than it should. */
  readonly #onShort: (handle: ChunkHandle) => void;
  /** The last call under way for each chunk, and the last change of its set: they go one after another. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Chunks of which clients get no grant while their replicas are being changed. */
  readonly #held = new Map<ChunkHandle, Hold>();
  /** Files that get none while a snapshot of them is being taken. */
  readonly #frozen = new Set<Freeze>();
  readonly splitting: Splitting;
  readonly #gate: Gate;
  #calls = 0;

  constructor(world: LeaderWorld, gate: Gate, onShort: (handle: ChunkHandle) => void) {
    this.#world = world;
    this.#gate = gate;
    this.#onShort = onShort;
    this.splitting = new Splitting(world, (...replica) => this.drop(...replica), onShort);
  }

  /** No client gets a grant of this chunk until the function that it returns is called; nor while others hold it. */
  hold(handle: ChunkHandle): () => void {
    const held = this.#held.get(handle) ?? makeHold();
    this.#held.set(handle, held);
    held.count += 1;
    return once(() => {
      held.count -= 1;
      if (held.count > 0) return;
      this.#held.delete(handle);
      held.release();
    });
  }

  /** Grants nothing for the files that `concerns` names until the function that it returns is called. */
  freeze(concerns: Concerns): () => void {
    const frozen = { ...makeHold(), concerns };
    this.#frozen.add(frozen);
    return once(() => {
      this.#frozen.delete(frozen);
      frozen.release();
    });
  }

  /** Whether a snapshot of anything is being taken. */
  get freezesAny(): boolean {
    return this.#frozen.size > 0;
  }
  /** Whether a snapshot of this file is being taken, or of what it is below. */
  isFrozen(inode: InodeId): boolean {
    return this.#freezeOf(inode) !== undefined;
  }
  #freezeOf(inode: InodeId): Freeze | undefined {
    for (const frozen of this.#frozen) if (frozen.concerns(inode)) return frozen;
    return undefined;
  }

  /** Grants, splits and changes of the set come one after another: each leads to what is mutated where, by the set that it has begun with. */
  alone<T>(handle: ChunkHandle, work: () => Promise<T>): Promise<T> {
    return this.#oneAtATime(`g${handle}`, work);
  }

  /** @throws CairnError STALE_HANDLE, IS_A_DIRECTORY, NO_SERVERS, UNAVAILABLE, BUSY */
  acquire(request: AcquireRequest): Promise<{ readonly grant: Grant; readonly created: boolean }> {
    return this.#inTurn(`${request.inode}:${request.index}`, () => this.#acquire(request));
  }

  /** @throws CairnError NOT_PRIMARY, STALE_HANDLE, UNAVAILABLE, BUSY */
  exclude(request: ExcludeRequest): Promise<{ readonly grant: Grant }> {
    return this.#inTurn(`c${request.handle}`, () => this.#exclude(request));
  }

  async #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (this.#calls >= leaseCallsMax)
      throw new CairnError('BUSY', `${leaseCallsMax} calls wait for leases already; try again later`);
    this.#calls += 1;
    try {
      // Before its turn, so that those who come together share it: what is looked at in the turn is as new as this, or newer.
      await this.#world.barrier();
      return await this.#oneAtATime(key, work);
    } finally {
      this.#calls -= 1;
    }
  }

  async #oneAtATime<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#turns.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#turns.get(key) === mine) this.#turns.delete(key);
    }
  }

  async #acquire({
    inode,
    index,
    chunkBytes,
    after,
    ifMissing,
  }: AcquireRequest): Promise<{ grant: Grant; created: boolean }> {
    const world = this.#world;
    const until = world.env.clock.now() + world.timing.acquireMs;
    for (;;) {
      world.checkLeading();
      const { tables } = world;
      const file = tables.inode(inode);
      if (file === undefined)
        throw new CairnError('STALE_HANDLE', `inode ${inode} does not exist any more; open the file by its path again`);
      if (file.kind === 'directory')
        throw new CairnError('IS_A_DIRECTORY', `inode ${inode} is a directory; name a file`);
      mustHaveChunksOf(chunkBytes, inode, file);
      if (await this.#waitedForThaw(inode, until)) continue;
      if (!isSettled(tables, inode, index)) {
        await world.execute({ kind: 'settleFile', inode, index }, doneResult);
        continue;
      }
      const handle = tables.handleAt(inode, file, index);
      if (handle === undefined) {
        const made = await this.#make(inode, file, index, ifMissing);
        if (made === undefined) continue;
        mustHaveChunksOf(chunkBytes, inode, fileOf(world.tables, { inode })); // from now on it keeps that size
        return { grant: this.#answerOf(made, inode), created: true };
      }
      if (await this.#waitedForHold(handle, until)) continue;
      const chunk = tables.chunk(handle)!;
      if (chunk.refs > 1) {
        await this.#split(inode, index, handle);
        continue;
      }
      this.#mustSuffice(handle, chunk, file);
      const isNewerWanted = after !== undefined && chunk.version <= after.version;
      if (!chunk.sealed && !isNewerWanted && world.servers.hasSession(chunk.servers[0]!))
        return { grant: grantOf(tables, { handle, ...chunk }, file), created: false };
      const granted = await this.regrant(handle, chunk, isNewerWanted ? after.failed : [], until);
      if (granted === undefined) continue;
      return { grant: this.#answerOf(granted, inode), created: false };
    }
  }

  /** Something else may have changed the chunk meanwhile: then it is looked at again. */
  async #split(inode: AcquireRequest['inode'], index: number, handle: ChunkHandle): Promise<void> {
    try {
      await this.alone(handle, async () => {
        this.#world.checkLeading();
        if ((this.#world.tables.chunk(handle)?.refs ?? 0) > 1) await this.splitting.split(inode, index, handle);
      });
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code !== 'STALE_VERSION' && error.code !== 'STALE_HANDLE') throw error;
    }
  }

  /** Fewer members than a mutation of this file needs: no grant before there is another copy. */
  #mustSuffice(handle: ChunkHandle, chunk: ChunkRecord, { minReplicas }: FileInode): void {
    const present = chunk.servers.filter((id) => this.#world.servers.hasSession(id)).length;
    if (present < minReplicas) throw this.#tooFew(handle, present, minReplicas);
  }

  /**
   * As the file promises by now: whoever has changed that meanwhile has called back what was out then, and this was not. A grant under which no
   * mutation keeps its promise is given to nobody: the chunk is copied first.
   */
  #answerOf(granted: Granted, inode: InodeId): Grant {
    const { tables } = this.#world;
    const file = fileOf(tables, { inode });
    const { handle, servers } = granted;
    if (servers.length < file.minReplicas) throw this.#tooFew(handle, servers.length, file.minReplicas);
    return grantOf(tables, granted, file);
  }

  #tooFew(handle: ChunkHandle, present: number, minReplicas: number): CairnError {
    this.#onShort(handle);
    return new CairnError(
      'UNAVAILABLE',
      `chunk ${handle} has ${present} replicas on servers that are up, its file asks for ${minReplicas}; start servers, or wait for copies`,
    );
  }

  /** Undefined if somebody else has made it meanwhile. @throws CairnError CHUNK_CUT, NO_SERVERS, … */
  async #make(
    inode: AcquireRequest['inode'],
    file: FileInode,
    index: AcquireRequest['index'],
    ifMissing: IfMissing,
  ): Promise<Granted | undefined> {
    if (ifMissing.kind === 'refuse') return valueOrThrow(cutChunk(inode, index));
    const servers = this.#world.placement.chooseForNew(file.replication, file.minReplicas);
    const chunk = { inode, index, servers };
    const command =
      ifMissing.kind === 'make'
        ? ({ kind: 'addChunk', ...chunk } as const)
        : ({ kind: 'adjoinChunk', ...chunk, last: ifMissing.last } as const);
    const result = await this.#gate.through(() => this.#world.execute(command, grantResult));
    if (!result.ok && result.code === 'EXISTS') return undefined;
    const made = valueOrThrow(result);
    if (servers.length < file.replication) this.#onShort(made.handle);
    return made;
  }

  async #exclude({ server, handle, version, failed }: ExcludeRequest): Promise<{ grant: Grant }> {
    const world = this.#world;
    const until = world.env.clock.now() + world.timing.acquireMs;
    for (;;) {
      world.checkLeading();
      const { tables } = world;
      const chunk = tables.chunk(handle);
      if (chunk === undefined || !tables.isInFile(handle, chunk))
        throw new CairnError('STALE_HANDLE', `chunk ${handle} does not exist any more; drop it`);
      if (chunk.sealed || chunk.servers[0] !== server)
        throw new CairnError('NOT_PRIMARY', `server ${server} is not the primary of chunk ${handle} any more`);
      // Held or not: a chunk may be held until it is sealed, and its primary may have to leave somebody out for that.
      const others = failed.filter((id) => id !== server && chunk.servers.includes(id));
      const isDone = chunk.version > version && others.length === 0;
      const granted = isDone ? { handle, ...chunk } : await this.regrant(handle, chunk, others, until);
      if (granted === undefined) continue;
      return { grant: this.#answerOf(granted, chunk.inode) };
    }
  }

  /**
   * The next version of a chunk. Members without a session leave the set, failed ones too once they have dropped their replica; a failed
   * primary that is up becomes the last member instead: the next primary will exclude it if it fails again. `gone` have no good replica,
   * and leave like failed ones. Nobody leaves before one that stays has said that it has the chunk.
   * @returns undefined when something has changed meanwhile: look at the chunk again.
   * @throws CairnError UNAVAILABLE when no member is up, or none that is up has the chunk, or nothing has changed until then
   */
  regrant(
    handle: ChunkHandle,
    chunk: ChunkRecord,
    failed: readonly ServerId[],
    until: number,
    gone: readonly ServerId[] = [],
  ): Promise<Granted | undefined> {
    return this.alone(handle, async () =>
      this.#isStill(handle, chunk) ? this.#regrant(handle, chunk, failed, until, gone) : undefined,
    );
  }

  #isStill(handle: ChunkHandle, { version, sealed, servers }: ChunkRecord): boolean {
    const now = this.#world.tables.chunk(handle);
    return now?.version === version && now.sealed === sealed && now.servers.join() === servers.join();
  }

  async #regrant(
    handle: ChunkHandle,
    chunk: ChunkRecord,
    failed: readonly ServerId[],
    until: number,
    gone: readonly ServerId[],
  ): Promise<Granted | undefined> {
    const { servers, env } = this.#world;
    if (env.clock.now() >= until) throw this.#unavailable(handle, chunk);
    const overdue = chunk.servers.find((id) => failed.includes(id) && servers.hasSession(id) && servers.isOverdue(id));
    if (overdue !== undefined) {
      await this.#changed(overdue, until);
      return undefined;
    }
    const lapsed = chunk.servers.filter((id) => !servers.hasSession(id));
    const alive = chunk.servers.filter((id) => !lapsed.includes(id) && !gone.includes(id));
    const good = alive.filter((id) => !failed.includes(id));
    const demoted = alive.filter((id) => failed.includes(id) && (id === chunk.servers[0] || good.length === 0));
    const staying = [...good, ...demoted];
    const dropping = chunk.servers.filter((id) => !lapsed.includes(id) && !staying.includes(id));
    const isLeft = staying.length < chunk.servers.length;
    if (staying.length === 0 || (isLeft && !(await this.#isHeldByOne(handle, chunk, staying))))
      throw this.#unavailable(handle, chunk);
    for (const id of dropping) {
      if (await this.drop(id, handle, chunk)) continue;
      await this.#changed(id, until);
      return undefined;
    }
    return this.#isStill(handle, chunk) ? this.#grant(handle, chunk, staying, lapsed) : undefined;
  }

  /**
   * Whoever has come back with an empty disk, or has lost bytes with its power, must not be left alone with the chunk while others have it.
   * One that stays must have the version, or all that the master knows of; or, if the version was never begun and the chunk was cut since, as
   * much as each of all members has. Nothing can be lost of what nobody has told the length of yet.
   */
  async #isHeldByOne(handle: ChunkHandle, chunk: ChunkRecord, staying: readonly ServerId[]) {
    if (chunk.length === 0) return true;
    const own = await this.#heldBy(handle, staying);
    const sound = own.flatMap((held) => (held?.isSound === true ? [held] : []));
    if (sound.some((held) => held.version === chunk.version || isWhole(chunk, held))) return true;
    if (sound.length === 0) return false;
    // only now the others: who is leaving may be slow to answer
    const others = chunk.servers.filter((id) => !staying.includes(id));
    const all = [...own, ...(await this.#heldBy(handle, others))];
    return sound.some((held) => all.every((other) => other !== undefined && !isMore(other, held)));
  }

  #heldBy(handle: ChunkHandle, servers: readonly ServerId[]) {
    return Promise.all(servers.map((id) => heldBy(this.#world, handle, id)));
  }

  async #grant(
    handle: ChunkHandle,
    chunk: ChunkRecord,
    members: readonly ServerId[],
    lapsed: readonly ServerId[],
  ): Promise<Granted | undefined> {
    const { servers } = this.#world;
    this.#world.checkLeading();
    if (lapsed.some((id) => servers.hasSession(id))) return undefined;
    const command = { kind: 'grant', handle, version: chunk.version, servers: members } as const;
    const result = await servers.excluding(lapsed, () =>
      this.#gate.through(() => this.#world.execute(command, grantResult)),
    );
    if (!result.ok && changedMeanwhile.has(result.code)) return undefined;
    const granted = valueOrThrow(result);
    this.#world.departures.note(handle, chunk.servers, members);
    const goal = this.#world.tables.inode(chunk.inode)?.replication ?? 0;
    if (members.length < goal) this.#onShort(handle);
    return granted;
  }

  /** Has a server throw its replica away: it serves it no longer. False if that is not certain. */
  async drop(id: ServerId, handle: ChunkHandle, { version, length }: ChunkRecord): Promise<boolean> {
    const rpc = this.#world.servers.get(id)?.rpc;
    if (rpc === undefined || rpc.isClosed) return false;
    try {
      await rpc.call('drop', { handles: [{ handle, version, length }] }, { timeoutMs: dropMs });
      return true;
    } catch (thrown) {
      const why = toCairnError(thrown).message;
      this.#world.env.events.emit('warn', 'replica_not_dropped', { server: id, handle, why });
      return false;
    }
  }

  /** True if a copy of the chunk was being finished: look at it again. @throws CairnError UNAVAILABLE if that takes too long */
  #waitedForHold(handle: ChunkHandle, until: number): Promise<boolean> {
    return this.#waited(this.#held.get(handle), `chunk ${handle} is being copied just now`, until);
  }

  /** True if a snapshot of the file was being taken. */
  #waitedForThaw(inode: AcquireRequest['inode'], until: number): Promise<boolean> {
    return this.#waited(this.#freezeOf(inode), `a snapshot of inode ${inode} is being taken just now`, until);
  }

  async #waited(hold: Hold | undefined, why: string, until: number): Promise<boolean> {
    if (hold === undefined) return false;
    if (this.#world.env.clock.now() >= until) throw new CairnError('UNAVAILABLE', `${why}; try again later`);
    await this.#atMostUntil(hold.done, until);
    return true;
  }

  /** Until the server is heard of, or its session lapses, or the time is over. */
  async #changed(id: ServerId, until: number): Promise<void> {
    await this.#atMostUntil(this.#world.servers.changed(id), until);
  }

  async #atMostUntil(event: Promise<void>, until: number): Promise<void> {
    const { clock } = this.#world.env;
    await new Promise<void>((resolve) => {
      const timer = clock.after(Math.max(0, until - clock.now()), resolve);
      void event.then(() => {
        timer.cancel();
        resolve();
      });
    });
    this.#world.checkLeading();
  }

  #unavailable(handle: ChunkHandle, chunk: ChunkRecord): CairnError {
    const names = chunk.servers.map((id) => `${id} (${this.#world.servers.get(id)?.state ?? 'unknown'})`).join(', ');
    return new CairnError(
      'UNAVAILABLE',
      `chunk ${handle} cannot be changed just now: its replicas are on servers ${names}; start them, or try again later`,
    );
  }
}

/** Why a grant is refused that was right when it was asked for; STALE_HANDLE: the chunk has been cut off its file. */
const changedMeanwhile: ReadonlySet<ErrorCode> = new Set(['STALE_VERSION', 'BUSY', 'STALE_HANDLE']);

function isMore(a: Held, b: Held): boolean {
  const [ofA, ofB] = [a.version ?? 0, b.version ?? 0];
  return ofA > ofB || (ofA === ofB && a.length > b.length);
}

interface Hold {
  count: number;
  readonly done: Promise<void>;
  readonly release: () => void;
}
interface Freeze extends Hold {
  readonly concerns: Concerns;
}

function makeHold(): Hold {
  let release = () => {};
  const done = new Promise<void>((resolve) => (release = resolve));
  return { count: 0, done, release };
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
