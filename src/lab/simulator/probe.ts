/** Liveness: with nothing broken any more, each kind of call succeeds at each client within its deadline. */
import { toCairnError } from '../../core/base/errors.ts';
import type { Actor } from './actor.ts';
import { payload } from './payload.ts';
import { mustEqualBytes, Violation } from './violation.ts';

export async function probe(actor: Actor): Promise<void> {
  const client = actor.client!;
  const { tree, ledger } = actor;
  const directory = tree.freshPath(actor.random);
  const file = `${directory}/probe`;
  const bytes = payload(actor.id, 3_000);
  await must(`mkdir ${directory}`, client.mkdir(directory));
  tree.put(directory, { kind: 'directory' });
  await must(`write ${file}`, client.writeFile(file, bytes));
  tree.put(file, { kind: 'file', bytes, durability: 'disk' });
  for (const log of ledger.logs) {
    const record = log.begin(actor.id, actor.nextRecord(), 100);
    log.acknowledged(record, await must(`append to ${log.path}`, client.recordAppend(log.path, record.bytes)));
    ledger.counts.records += 1;
    log.check(await must(`read ${log.path}`, client.readFile(log.path)));
  }
  mustEqualBytes(await must(`read ${file}`, client.readFile(file)), bytes, file);
  await must(`rename ${file}`, client.rename(file, `${file}-2`));
  tree.rename(file, `${file}-2`);
  tree.checkListing(directory, await must(`list ${directory}`, client.readdir(directory)));
}

async function must<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (thrown) {
    const { code, message } = toCairnError(thrown);
    throw new Violation(`although all is well: ${what}: [${code}] ${message}`);
  }
}
