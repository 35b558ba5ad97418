/**
 * The next version of a chunk, and who is in its set. A grant only ever shrinks the set; a server is left out when its session has lapsed, or when
 * it has dropped its replica on request. Both are events, waited for within a bound.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import { dropReplica } from './drop-replica.ts';
import type { Gate } from './gate.ts';
import { type LeaderWorld, waitUntil } from './leader-world.ts';
import { isLive } from './needs.ts';
import { valueOrThrow } from './refusal.ts';
import { type Granted, grantResult } from './state/commands.ts';
import type { ChunkRecord } from './state/records.ts';
import { Turns } from './turns.ts';
import { canDoWithout, type Held } from './whole-replicas.ts';

/** Why a chunk is granted anew, where that matters. */
interface Why {
  /** Members that have no good replica. */
  readonly gone?: readonly ServerId[];
  /** The one that asks for it, as it goes on with its lease. */
  readonly primary?: ServerId | undefined;
}

export class Regrants {
  readonly #world: LeaderWorld;
  readonly #gate: Gate;
  readonly #turns = new Turns();

  constructor(world: LeaderWorld, gate: Gate) {
    this.#world = world;
    this.#gate = gate;
  }

  /** Grants, splits and changes of the set come one after another: each leads to what is mutated where, by the set that it has begun with. */
  alone<T>(handle: ChunkHandle, work: () => Promise<T>): Promise<T> {
    return this.#turns.take(`${handle}`, work);
  }

  /**
   * The next version of a chunk. Members without a session leave the set, failed ones too once they have dropped their replica; a failed
   * primary that is up becomes the last member instead: the next primary will exclude it if it fails again. Those that are `gone`
   * leave like failed ones. Nobody leaves before one that stays has said that it has the chunk.
   * @returns undefined when something has changed meanwhile: look at the chunk again.
   * @throws CairnError UNAVAILABLE when no member is up, or none that is up has the chunk, or nothing has changed until then
   */
  regrant(
    handle: ChunkHandle,
    chunk: ChunkRecord,
    failed: readonly ServerId[],
    until: number,
    why: Why = {},
  ): Promise<Granted | undefined> {
    return this.alone(handle, async () =>
      this.#isStill(handle, chunk) ? this.#regrant(handle, chunk, failed, until, why) : undefined,
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
    { gone = [], primary }: Why,
  ): Promise<Granted | undefined> {
    const { servers, env } = this.#world;
    if (env.clock.now() >= until) throw this.#unavailable(handle, chunk);
    const overdue = chunk.servers.find((id) => failed.includes(id) && servers.hasSession(id) && servers.isOverdue(id));
    if (overdue !== undefined) {
      await this.#changed(overdue, until);
      return undefined;
    }
    const coming = chunk.servers.find((id) => servers.mayBeComing(id));
    if (coming !== undefined) {
      await this.#changed(coming, Math.min(until, servers.comingUntil(coming)));
      return undefined;
    }
    const lapsed = chunk.servers.filter((id) => !servers.hasSession(id));
    const alive = chunk.servers.filter((id) => !lapsed.includes(id) && !gone.includes(id));
    const good = alive.filter((id) => !failed.includes(id));
    const demoted = alive.filter((id) => failed.includes(id) && (id === chunk.servers[0] || good.length === 0));
    const staying = [...good, ...demoted];
    const dropping = chunk.servers.filter((id) => !lapsed.includes(id) && !staying.includes(id));
    const isLeft = staying.length < chunk.servers.length;
    if (staying.length === 0 || (isLeft && !(await this.#canDoWith(handle, chunk, staying, primary))))
      throw this.#unavailable(handle, chunk);
    for (const id of dropping) {
      if (await dropReplica(this.#world, id, handle, chunk)) continue;
      await this.#changed(id, until);
      return undefined;
    }
    return this.#isStill(handle, chunk) ? this.#grant(handle, chunk, staying, lapsed) : undefined;
  }

  /**
   * Of an open chunk who has the version, and less than the master knows of, may have lost it with its power, or have cut the chunk since the master was
   * told. It is believed if it is the primary, whose lease ends with its process, or when nobody may be back soon who knows better; in mode async
   * nobody need.
   */
  async #canDoWith(
    handle: ChunkHandle,
    chunk: ChunkRecord,
    staying: readonly ServerId[],
    primary: ServerId | undefined,
  ): Promise<boolean> {
    const { servers, tables } = this.#world;
    const leaving = chunk.servers.filter((id) => !staying.includes(id));
    const isAwaited = leaving.some((id) => !servers.hasSession(id) && isLive(servers, id));
    const isAnyEnough = !isAwaited || tables.inode(chunk.inode)?.mode === 'async';
    const isBelieved = (held: Held, id: ServerId) =>
      !chunk.sealed && held.version === chunk.version && (isAnyEnough || id === primary);
    return canDoWithout(this.#world, handle, chunk, leaving, staying, isBelieved);
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
    const goal = this.#world.tables.inode(chunk.inode)?.replication ?? 0;
    if (members.length < goal) this.#world.noteShort(handle);
    return granted;
  }

  /** Until the server is heard of, or its session lapses, or the time is over. */
  async #changed(id: ServerId, until: number): Promise<void> {
    await waitUntil(this.#world, this.#world.servers.changed(id), until);
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
