/** The masters as a client sees them: reads, and commands that take effect once, at whichever of them leads. */
import type { Address } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { masterCalls } from '../../core/protocol/master-calls.ts';
import { type CommandId, protocolVersion } from '../../core/protocol/types.ts';
import { type ChannelCallOptions, LeaderChannel } from '../rpc/leader-channel.ts';
import type { RpcConnection } from '../rpc/rpc-connection.ts';
import { type AbortSignalLike, givenUpBy } from './abort.ts';
import { CommandIds } from './command-ids.ts';

/** A master that is stopped, or cut off, costs this much. */
const greetingMs = 700;

type MasterCalls = typeof masterCalls;
type TreeCommand = 'openForWrite' | 'mkdir' | 'set' | 'remove' | 'discard' | 'rename' | 'fileSnapshot';
type TrashCommand = 'restore' | 'emptyTrash';
type CommandKind = TreeCommand | TrashCommand | 'truncate' | 'acquire' | 'drain';
type ReadKind = 'awaitChange' | 'whoLeads' | 'stat' | 'readdir' | 'locate' | 'status' | 'trash';
type GroupKind = 'transferLeadership' | 'addMaster' | 'removeMaster';
type WithoutId<Request> = Omit<Request, 'id'>;

/** How long, and for whom. */
export interface AskOptions extends Pick<ChannelCallOptions, 'deadlineMs' | 'attemptMs' | 'isHarmless'> {
  readonly signal?: AbortSignalLike | undefined;
}

export class Masters {
  readonly clusterId: string;
  readonly #channel: LeaderChannel<MasterCalls, Record<never, never>>;
  readonly #ids: CommandIds;

  private constructor(env: Env, clusterId: string, channel: LeaderChannel<MasterCalls, Record<never, never>>) {
    this.clusterId = clusterId;
    this.#channel = channel;
    this.#ids = new CommandIds(env);
  }

  /** Finds the masters of the cluster that those at `addresses` belong to. @throws CairnError NO_QUORUM if none answers in time */
  static async find(env: Env, addresses: readonly Address[], deadlineMs: number): Promise<Masters> {
    const channel = channelTo(env, addresses, deadlineMs);
    try {
      const { clusterId } = await channel.call('whoLeads', {}, { isHarmless: true });
      return new Masters(env, clusterId, channel);
    } catch (thrown) {
      channel.close();
      throw thrown;
    }
  }

  async read<K extends ReadKind>(
    kind: K,
    request: RequestOf<MasterCalls[K]>,
    { signal, ...options }: AskOptions = {},
  ): Promise<ResponseOf<MasterCalls[K]>> {
    return await this.#channel.call(kind, request, { ...options, givenUp: givenUpBy(signal), isHarmless: true });
  }

  /** Asks for a change of the group itself, which is harmless to ask for again. */
  async operate<K extends GroupKind>(
    kind: K,
    request: RequestOf<MasterCalls[K]>,
    attemptMs: number,
  ): Promise<ResponseOf<MasterCalls[K]>> {
    return this.#channel.call(kind, request, { attemptMs });
  }

  /** Takes effect at most once, however often it must be repeated. */
  command<K extends CommandKind>(
    kind: K,
    request: WithoutId<RequestOf<MasterCalls[K]>>,
    options?: AskOptions,
  ): Promise<ResponseOf<MasterCalls[K]>> {
    const named = (id: CommandId) => ({ ...request, id }) as RequestOf<MasterCalls[K]>;
    return this.commandAs(kind, named, options);
  }

  /** The same; `named` makes the request that bears the id. */
  commandAs<K extends CommandKind>(
    kind: K,
    named: (id: CommandId) => RequestOf<MasterCalls[K]>,
    { signal, ...options }: AskOptions = {},
  ): Promise<ResponseOf<MasterCalls[K]>> {
    return this.#ids.run(async (id) => {
      try {
        return await this.#channel.call(kind, named(id), { ...options, givenUp: givenUpBy(signal) });
      } catch (thrown) {
        if (toCairnError(thrown).code === 'SESSION_EXPIRED') this.#ids.sessionExpired(id.client);
        throw thrown;
      }
    });
  }

  close(): void {
    this.#channel.close();
  }
}

/** Whoever it connects to tells it first where all masters are now: they may have moved since it was made. */
function channelTo(env: Env, masters: readonly Address[], deadlineMs: number) {
  const greet = async (rpc: RpcConnection<MasterCalls>) => {
    const { response } = await rpc.call('whoLeads', {}, { timeoutMs: greetingMs });
    if (response.protocolVersion !== protocolVersion)
      throw new CairnError(
        'PROTOCOL',
        `the cluster speaks protocol ${response.protocolVersion}, this client ${protocolVersion}; use a client of the cluster's version`,
      );
    return response.masters;
  };
  return new LeaderChannel<MasterCalls, Record<never, never>>({ env, masters, calls: masterCalls, deadlineMs, greet });
}
