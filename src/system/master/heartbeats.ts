/** What chunkservers ask of the leader: to be known, and to be let serve for another session. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { inventoryPageMax, type LengthReport, type masterCalls } from '../../core/protocol/master-calls.ts';
import { protocolVersion } from '../../core/protocol/types.ts';
import type { ChunkServer, ServerConnection } from './chunk-servers.ts';
import type { Held } from './garbage.ts';
import { compareInventory } from './inventory.ts';
import type { Leader } from './leader.ts';
import { valueOrThrow } from './refusal.ts';
import { doneResult } from './state/commands.ts';
import { MissingReplicas, ShortReplicas } from './suspicions.ts';
import { Unlooked } from './unlooked.ts';

type RegisterRequest = RequestOf<typeof masterCalls.register>;
type HeartbeatRequest = RequestOf<typeof masterCalls.heartbeat>;
/** As many servers as `status` lists. */
const serversMax = 4096;

/** @throws CairnError WRONG_CLUSTER, PROTOCOL, DIR_IN_USE, NOT_LEADER */
export async function register(
  leader: Leader,
  clusterId: string,
  request: RegisterRequest,
  rpc: ServerConnection,
): Promise<ResponseOf<typeof masterCalls.register>> {
  const { server: id, address, rack } = request;
  if (request.clusterId !== clusterId)
    throw new CairnError(
      'WRONG_CLUSTER',
      `this is cluster ${clusterId}, not ${request.clusterId}; check --cluster and --dir`,
    );
  if (request.protocolVersion !== protocolVersion)
    throw new CairnError(
      'PROTOCOL',
      `protocol ${request.protocolVersion} here meets ${protocolVersion}; run one version`,
    );
  const { servers } = leader;
  const knocking = servers.get(id);
  if (knocking !== undefined) servers.heard(knocking, leader.env.clock.now());
  await leader.barrier();
  const known = servers.get(id);
  const isSecondCopy = known?.rpc !== undefined && !known.rpc.isClosed && known.incarnation !== request.incarnation;
  if (isSecondCopy && known.address !== address && servers.hasSession(id))
    throw new CairnError('DIR_IN_USE', `chunkserver ${id} is running at ${known.address}; stop it, or take another id`);
  if (known === undefined && servers.size >= serversMax)
    throw new CairnError('INVALID_ARGUMENT', `this cluster has ${serversMax} chunkservers already; it takes no more`);
  const record = leader.tables.server(id);
  if (record === undefined || record.address !== address || record.rack !== rack)
    valueOrThrow(await leader.execute({ kind: 'registerServer', server: id, address, rack }, doneResult));
  adopt(leader, request, rpc);
  leader.env.events.emit('info', 'chunkserver_registered', {
    server: id,
    address,
    rack,
    incarnation: request.incarnation,
  });
  return { sessionMs: leader.timing.sessionMs, heartbeatMs: leader.timing.heartbeatMs };
}

function adopt(leader: Leader, request: RegisterRequest, rpc: ServerConnection): void {
  const { server: id, address, rack, incarnation, pid } = request;
  const server = leader.servers.get(id) ?? leader.servers.add(id, leader.tables.server(id)!);
  if (server.rpc !== rpc) server.rpc?.close('the chunkserver has registered anew');
  Object.assign(server, { address, rack, incarnation, pid, rpc });
}

export class Heartbeats {
  readonly #leader: Leader;
  readonly #missing = new MissingReplicas();
  readonly #short = new ShortReplicas();
  readonly #unlooked = new Map<ServerId, Unlooked>();

  constructor(leader: Leader) {
    this.#leader = leader;
  }

  /**
   * Everything in it takes effect before the answer, but for lengths that are not logged soon: a server keeps its session while nothing can be logged. It
   * counts from the arrival.
   * @throws CairnError UNAVAILABLE for a server that must register first, NOT_LEADER, BUSY
   */
  async heartbeat(request: HeartbeatRequest, rpc: ServerConnection): Promise<ResponseOf<typeof masterCalls.heartbeat>> {
    const leader = this.#leader;
    const receivedAt = leader.env.clock.now();
    const server = leader.servers.get(request.server);
    if (server === undefined || server.rpc !== rpc || server.incarnation !== request.incarnation) {
      rpc.close('the chunkserver must register first'); // it does so on each new connection
      throw new CairnError(
        'UNAVAILABLE',
        `chunkserver ${request.server} has not registered on this connection; do so first`,
      );
    }
    leader.servers.heard(server, receivedAt);
    const [hasLengths] = await Promise.all([this.#logged(server.id, request.lengths), leader.barrier()]);
    leader.checkLeading();
    const { usedBytes, totalBytes, freeBytes, lagBytes, chunks } = request;
    Object.assign(server, { usedBytes, totalBytes, freeBytes, lagBytes, chunks });
    const garbage = this.#compare(server, request);
    const sessionMs = leader.servers.renew(server, receivedAt) ? leader.timing.sessionMs : 0;
    // Behind that: with a session that begins anew all that the server said before is forgotten.
    for (const handle of request.damaged) leader.replication.broken.gone(handle, server.id, 'damaged');
    const drops = leader.garbage.take(server.id, inventoryPageMax - garbage.length);
    const { nextHandle } = leader.tables.counters;
    const session = { leader: leader.servers.leader, number: server.sessions };
    return { sessionMs, garbage: [...garbage, ...drops], nextHandle, hasLengths, session };
  }

  /** Whether they are, by the time of the next heartbeat. They may still be logged later. */
  #logged(from: ServerId, lengths: readonly LengthReport[]): Promise<boolean> {
    const { lengths: reports, env, timing } = this.#leader;
    return new Promise((resolve) => {
      const timer = env.clock.after(timing.heartbeatMs, () => resolve(false));
      const refused = (thrown: unknown) => {
        const { code, message: why } = toCairnError(thrown);
        env.events.emit('debug', 'lengths_not_logged', { server: from, code, why });
        resolve(false);
      };
      reports
        .add(from, lengths)
        .then(() => resolve(true), refused)
        .finally(() => timer.cancel());
    });
  }

  #compare(server: ChunkServer, { inventory, inventoryFrom, inventoryTo }: HeartbeatRequest): readonly Held[] {
    if (inventoryTo === 0 || inventoryTo < inventoryFrom) return [];
    const { tables, replication, leases } = this.#leader;
    const page = { from: inventoryFrom, to: inventoryTo, held: inventory };
    const unlooked = this.#unlookedOf(server.id);
    const lookFrom = unlooked.startOf(page);
    const isCloning = (handle: ChunkHandle, at: ChunkServer) =>
      replication.isCloning(handle, at) || leases.splitting.isMaking(handle);
    const { garbage, missing, short, lookedTo } = compareInventory(tables, server, page, isCloning, lookFrom);
    const looked = { from: lookFrom, to: lookedTo };
    unlooked.looked(page, looked);
    for (const handle of this.#missing.confirmed(server.id, looked, missing))
      replication.broken.gone(handle, server.id, 'missing');
    for (const handle of this.#short.confirmed(server.id, page, short, (handle) => this.#othersOf(handle, server.id)))
      replication.broken.gone(handle, server.id, 'short');
    return garbage;
  }

  #unlookedOf(server: ServerId): Unlooked {
    const unlooked = this.#unlooked.get(server) ?? new Unlooked();
    this.#unlooked.set(server, unlooked);
    return unlooked;
  }

  /** Members that are up, but for this one. */
  #othersOf(handle: ChunkHandle, server: ServerId): readonly ServerId[] {
    const { tables, servers } = this.#leader;
    const members = tables.chunk(handle)?.servers ?? [];
    return members.filter((id) => {
      const other = servers.get(id);
      return id !== server && other !== undefined && servers.isHealthy(other);
    });
  }
}
