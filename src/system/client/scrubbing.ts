/** The scrubbers of all chunkservers, as one client sees them. */
import type { ServerId } from '../../core/base/brand.ts';
import { type CairnError, toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import type { ServerStatus } from '../../core/protocol/master-calls.ts';
import type { ClientCore } from './core.ts';
import { readAttemptMs } from './limits.ts';

type Scrubbed = ResponseOf<(typeof chunkCalls)['scrub']>;

export type ServerScrub = {
  readonly server: ServerId;
  /** Begins a pass on this server alone, or hurries the one under way. */
  readonly begin: () => Promise<ServerScrub>;
} & (
  | ({ readonly error: undefined } & Scrubbed)
  /** It could not be asked. */
  | { readonly error: CairnError }
);

/** @param now begins a pass on each server, or hurries the one under way. */
export async function scrubAll(core: ClientCore, now: boolean): Promise<readonly ServerScrub[]> {
  const { servers } = await core.masters.read('status', {});
  return Promise.all(servers.map((server) => scrub(core, server, now)));
}

async function scrub(core: ClientCore, status: ServerStatus, now: boolean): Promise<ServerScrub> {
  const { id: server, address } = status;
  const begin = () => scrub(core, status, true);
  try {
    const { response } = await core.pool.call(address, 'scrub', { now }, { timeoutMs: readAttemptMs });
    return { server, begin, error: undefined, ...response };
  } catch (thrown) {
    return { server, begin, error: toCairnError(thrown) };
  }
}
