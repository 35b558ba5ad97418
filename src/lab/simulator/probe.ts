/** Liveness: with nothing broken any more, each kind of call succeeds at each client within its deadline. */
import { toCairnError } from '../../core/base/errors.ts';
import type { CairnClient } from '../../system/client/client.ts';
import type { Actor } from './actor.ts';
import type { CutLog } from './cut-log.ts';
import { payload } from './payload.ts';
import { mustEqualBytes, mustHold, Violation } from './violation.ts';

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
    const record = await appendTo(actor, client, log);
    ledger.counts.records += 1;
    // Where one has rotted its server may be left out, whatever it alone has.
    if (log.mode !== 'async' || !actor.mayRot) log.stays(record);
    log.check(await must(`read ${log.path}`, client.readFile(log.path)));
  }
  for (const log of ledger.cutLogs) await probeCuts(actor, client, log);
  mustEqualBytes(await must(`read ${file}`, client.readFile(file)), bytes, file);
  await must(`rename ${file}`, client.rename(file, `${file}-2`));
  tree.rename(file, `${file}-2`);
  tree.checkListing(directory, await must(`list ${directory}`, client.readdir(directory)));
}

/** Nobody else is at work: what the others have left is right; then a file that was cut is as long as it was to be, and what is appended then is there. */
async function probeCuts(actor: Actor, client: CairnClient, log: CutLog): Promise<void> {
  log.check(await must(`read ${log.path}`, client.readFile(log.path)));
  const size = log.drawSize(actor.random);
  const cut = log.beginCut(size);
  await must(`truncate ${log.path} to ${size}`, client.truncate(log.path, size));
  log.cutEnded(cut);
  const stats = await must(`stat ${log.path}`, client.stat(log.path));
  mustHold(stats.size === size, () => `${log.path} was cut to ${size} and has ${stats.size} bytes`);
  const record = await appendTo(actor, client, log);
  const content = await must(`read ${log.path}`, client.readFile(log.path));
  const end = record.offset! + record.bytes.length;
  mustHold(content.length === end, () => `${log.path}: its last record ends at ${end}, it at ${content.length}`);
  log.check(content);
}

/** Where it may be that nobody knows what became of it, another one succeeds: the first has left the rotten replica behind. */
async function appendTo<R extends { readonly bytes: Uint8Array }>(
  actor: Actor,
  client: CairnClient,
  log: AppendedLog<R>,
): Promise<R> {
  const append = async () => {
    const record = log.begin(actor.id, actor.nextRecord(), 100);
    log.acknowledged(record, await client.recordAppend(log.path, record.bytes));
    return record;
  };
  const first = append().catch((thrown: unknown) => {
    if (actor.mayBeForgotten && toCairnError(thrown).code === 'UNKNOWN_OUTCOME') return append();
    throw thrown;
  });
  return must(`append to ${log.path}`, first);
}

interface AppendedLog<R> {
  readonly path: string;
  begin(client: number, number: number, payloadBytes: number): R;
  acknowledged(record: R, offset: number): void;
}

async function must<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (thrown) {
    const { code, message } = toCairnError(thrown);
    throw new Violation(`although all is well: ${what}: [${code}] ${message}`);
  }
}
