/** The scrubbers of all chunkservers, as one client sees them. */
import type { ServerId } from '../../core/base/brand.ts';
import { type CairnError, toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import type { ClientCore } from './core.ts';
import { readAttemptMs } from './limits.ts';

type Scrubbed = ResponseOf<(typeof chunkCalls)['scrub']>;

export type ServerScrub =
  | ({ readonly server: ServerId; readonly error: undefined } & Scrubbed)
  /** It could not be asked. */
  | { readonly server: ServerId; readonly error: CairnError };

/** @param now begins a pass on each server, or hurries the one under way. */
export async function scrubAll(core: ClientCore, now: boolean): Promise<readonly ServerScrub[]> {
  const { servers } = await core.masters.read('status', {});
  return Promise.all(
    servers.map(async ({ id: server, address }): Promise<ServerScrub> => {
      try {
        const { response } = await core.pool.call(address, 'scrub', { now }, { timeoutMs: readAttemptMs });
        return { server, error: undefined, ...response };
      } catch (thrown) {
        return { server, error: toCairnError(thrown) };
      }
    }),
  );
}
