/** What each master says for itself, when none leads that could tell of all. */
import { tmpdir } from 'node:os';
import type { Address } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import { masterCalls } from '../../../core/protocol/master-calls.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { RpcConnection } from '../../../system/rpc/rpc-connection.ts';

const patienceMs = 1000;

export interface Word {
  readonly address: Address;
  readonly says: string;
}

/** Asks those that are named, and those of whom they tell. */
export async function askMasters(named: readonly Address[]): Promise<readonly Word[]> {
  const env = nodeEnv({ dir: tmpdir() });
  const words: Word[] = [];
  const known = new Set(named);
  for (let toAsk = [...named]; toAsk.length > 0; ) {
    const answers = await Promise.all(toAsk.map((address) => askOne(env, address)));
    words.push(...answers.map(({ word }) => word));
    toAsk = [...new Set(answers.flatMap(({ others }) => others))].filter((address) => !known.has(address));
    for (const address of toAsk) known.add(address);
  }
  return words;
}

async function askOne(env: Env, address: Address): Promise<{ word: Word; others: readonly Address[] }> {
  const rpc = RpcConnection.connect(env, address, masterCalls, undefined);
  try {
    const { response } = await rpc.call('whoLeads', {}, { timeoutMs: patienceMs });
    const says = response.leader === undefined ? 'answers, and knows no leader' : `answers: ${response.leader} leads`;
    return { word: { address, says }, others: response.masters };
  } catch (thrown) {
    const why = toCairnError(thrown).code === 'CONNECTION_LOST' ? 'is not there' : 'does not answer';
    return { word: { address, says: why }, others: [] };
  } finally {
    rpc.close('asked');
  }
}
