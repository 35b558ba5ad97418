/** Where a client begins: the cluster is found, and what all parts of the client share is made. */
import type { Address } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { ChunkPool } from './chunk-pool.ts';
import { type ClientCore, OnceIds } from './core.ts';
import { checkWindow, invalid } from './failures.ts';
import { type ClientSettings, defaultSettings, type GivenSettings } from './limits.ts';
import { Masters } from './masters.ts';

/** @param allocate memory for what is read; it need not be zeroed. @throws CairnError NO_QUORUM when no master answers within the deadline */
export async function makeCore(
  env: Env,
  masters: readonly Address[],
  settings: GivenSettings,
  allocate: ClientCore['allocate'] = (bytes) => new Uint8Array(bytes),
): Promise<ClientCore> {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const all: ClientSettings = { ...defaultSettings, ...Object.fromEntries(given) };
  if (masters.length === 0) throw invalid('no master was named; name at least one');
  if (!(all.deadlineMs > 0)) throw invalid(`a deadline of ${all.deadlineMs} ms; give a positive number`);
  for (const name of ['readWindowBytes', 'writeWindowBytes'] as const) checkWindow(name, all[name]);
  const seed = env.random.below(0x7fff_ffff);
  const found = await Masters.find(env, masters, all.deadlineMs);
  const once = new OnceIds(env);
  return { env, masters: found, pool: new ChunkPool(env), settings: all, allocate, once, seed };
}
