/**
 * Chunk leases (GFS §3.1), as log entries: who asks first gets a new version, everyone else the same grant. What clients and primaries ask for is
 * answered here; the next version of a chunk is made in regrants.ts, what keeps grants back for a while is in holds.ts.
 */
import type { ChunkHandle, InodeId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { IfMissing, masterCalls } from '../../core/protocol/master-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { Gate } from './gate.ts';
import type { Holds } from './holds.ts';
import { fileOf, grantOf, type LeaderWorld, mustHaveChunksOf } from './leader-world.ts';
import { valueOrThrow } from './refusal.ts';
import type { Regrants } from './regrants.ts';
import { Splitting } from './splitting.ts';
import { cutChunk } from './state/chunks.ts';
import { doneResult, type Granted, grantResult } from './state/commands.ts';
import { isSettled } from './state/copies.ts';
import type { ChunkRecord, FileInode } from './state/records.ts';
import { Turns } from './turns.ts';

/** Calls for leases that may be under way at once. */
export const leaseCallsMax = 10_000;

type AcquireRequest = RequestOf<typeof masterCalls.acquire>;
type ExcludeRequest = RequestOf<typeof masterCalls.exclude>;

export class Leases {
  readonly #world: LeaderWorld;
  readonly #gate: Gate;
  readonly #holds: Holds;
  readonly #regrants: Regrants;
  readonly splitting: Splitting;
  /** Calls for the same chunk go one after another. */
  readonly #turns = new Turns();
  #calls = 0;

  constructor(world: LeaderWorld, gate: Gate, holds: Holds, regrants: Regrants) {
    this.#world = world;
    this.#gate = gate;
    this.#holds = holds;
    this.#regrants = regrants;
    this.splitting = new Splitting(world);
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
      return await this.#turns.take(key, work);
    } finally {
      this.#calls -= 1;
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
      // From here to the record nothing is waited for unless it is looked at anew afterwards: a chunk may leave the table meanwhile.
      const thawed = this.#holds.untilThawed(inode, until);
      if (thawed !== undefined) {
        await thawed;
        continue;
      }
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
      const released = this.#holds.untilReleased(handle, until);
      if (released !== undefined) {
        await released;
        continue;
      }
      const chunk = tables.chunk(handle)!;
      if (chunk.refs > 1) {
        await this.#split(inode, index, handle);
        continue;
      }
      this.#mustSuffice(handle, chunk, file);
      const isNewerWanted = after !== undefined && chunk.version <= after.version;
      if (!chunk.sealed && !isNewerWanted && world.servers.hasSession(chunk.servers[0]!))
        return { grant: grantOf(tables, { handle, ...chunk }, file), created: false };
      const granted = await this.#regrants.regrant(handle, chunk, isNewerWanted ? after.failed : [], until);
      if (granted === undefined) continue;
      return { grant: this.#answerOf(granted, inode), created: false };
    }
  }

  /** Something else may have changed the chunk meanwhile: then it is looked at again. */
  async #split(inode: AcquireRequest['inode'], index: number, handle: ChunkHandle): Promise<void> {
    try {
      await this.#regrants.alone(handle, async () => {
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
    this.#world.noteShort(handle);
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
    if (servers.length < file.replication) this.#world.noteShort(made.handle);
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
      const granted = isDone
        ? { handle, ...chunk }
        : await this.#regrants.regrant(handle, chunk, others, until, { primary: server });
      if (granted === undefined) continue;
      return { grant: this.#answerOf(granted, chunk.inode) };
    }
  }
}
