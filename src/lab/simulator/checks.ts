/** What must hold when a run is over: of the files as clients see them, of the replicas, of the masters. All throw Violation. */
import type { CairnClient } from '../../system/client/client.ts';
import type { OrderedStore } from '../../system/storage/ordered-store.ts';
import type { Actor } from './actor.ts';
import type { SimCluster } from './cluster.ts';
import type { Inspector } from './inspector.ts';
import type { Ledger } from './ledger.ts';
import type { OwnTree } from './own-tree.ts';
import { chunksPerServer } from './quiet.ts';
import { mustEqualBytes, mustHold } from './violation.ts';

/** Every acknowledged record is in its file exactly once; of each race there is what its outcome was. */
export async function checkShared(client: CairnClient, ledger: Ledger): Promise<void> {
  for (const log of ledger.logs) log.check(await client.readFile(log.path));
  for (const log of ledger.cutLogs) log.check(await client.readFile(log.path));
  for (const { path, log, ...bounds } of ledger.copies) log.checkCopy(await client.readFile(path), path, bounds);
  for (const race of ledger.races) ledger.checkRace(race, await client.exists(race));
}

/** A client's directory is exactly what its model says. */
export async function checkTree(client: CairnClient, { tree }: Actor): Promise<void> {
  for (const [path, item] of tree.items) {
    if (item.kind === 'directory') tree.checkListing(path, await client.readdir(path));
    else mustEqualBytes(await client.readFile(path), item.bytes, path);
  }
  for (const { from, to, item } of tree.doubtfulRenames) {
    if (!hasParent(tree, from) || !hasParent(tree, to)) continue;
    const places: string[] = [];
    for (const path of [from, to]) if (await client.exists(path)) places.push(path);
    mustHold(places.length === 1, () => `what was renamed from ${from} to ${to} is at ${places.length} places`);
    if (item.kind === 'file') mustEqualBytes(await client.readFile(places[0]!), item.bytes, places[0]!);
  }
  for (const { path, before, after } of tree.doubtfulChanges)
    if (hasParent(tree, path)) mustBeBetween(await client.readFile(path), before, after, path);
}

/**
 * What lay outside of a change is as it was; of the change each byte was carried out or not. A cut takes the chunks behind it first: if a hole is then
 * where the file is to end, it ends before that until the cut is done.
 */
function mustBeBetween(actual: Uint8Array, before: Uint8Array, after: Uint8Array, path: string): void {
  const isCut = after.length < before.length;
  const shortest = isCut ? after.findLastIndex((byte) => byte !== 0) + 1 : before.length;
  const longest = Math.max(before.length, after.length);
  const { length } = actual;
  mustHold(
    length >= shortest && length <= longest,
    () => `${path} has ${length} bytes, not ${shortest} … ${longest}, after a change whose fate is unknown`,
  );
  const at = actual.findIndex((byte, i) => byte !== (before[i] ?? 0) && byte !== after[i]);
  mustHold(at < 0, () => `${path}: byte ${at} is neither as it was nor as a change whose fate is unknown makes it`);
}

/** Whatever its fate was, everything that is listed can be looked at and read, by anybody. */
export async function checkReadable(client: CairnClient, directory = '/'): Promise<void> {
  for (const entry of await client.readdir(directory, { withFileTypes: true })) {
    const path = directory === '/' ? `/${entry.name}` : `${directory}/${entry.name}`;
    if (entry.isDirectory()) {
      await checkReadable(client, path);
      continue;
    }
    const { size, mode } = await client.stat(path);
    if (mode === 'gfs') continue; // its replicas may differ behind what was acknowledged
    const { length } = await client.readFile(path);
    mustHold(length === size, () => `${path} has ${size} bytes, and ${length} can be read`);
  }
}

function hasParent(tree: OwnTree, path: string): boolean {
  return tree.items.has(path.slice(0, path.lastIndexOf('/')));
}

/** But in mode gfs, all in-sync replicas of a chunk are the same to the byte, and as long as the master says; nobody holds anything else. */
export async function checkReplicas(cluster: SimCluster, inspector: Inspector): Promise<void> {
  const chunks = [...cluster.tables!.chunks(0)];
  for (const [handle, { servers, length, inode }] of chunks) {
    const file = cluster.tables!.inode(inode);
    if (file?.kind === 'file' && file.mode === 'gfs') continue;
    const held = await Promise.all(servers.map((server) => inspector.chunk(server, handle)));
    for (const [at, replica] of held.entries()) {
      const where = `chunk ${handle} on s${servers[at]}`;
      // A chunk that nobody ever wrote to is made by the first mutation.
      const lengthBytes = replica?.lengthBytes ?? 0;
      mustHold(lengthBytes === length, () => `${where} has ${lengthBytes} bytes, the master knows ${length}`);
      mustEqualBytes(replica?.bytes ?? empty, held[0]?.bytes ?? empty, `${where}, compared with s${servers[0]}`);
    }
  }
}
const empty = new Uint8Array(0);

/** Chunks that servers hold beyond those that they should: garbage. Goes to zero by and by. */
export async function garbageCount(cluster: SimCluster, inspector: Inspector): Promise<number> {
  const due = chunksPerServer(cluster.tables!.chunks(0));
  let surplus = 0;
  for (const { id } of cluster.chunkservers) {
    const wanted = [...due].find(([server]) => server === id)?.[1] ?? 0;
    surplus += Math.max(0, (await inspector.chunkCount(id)) - wanted);
  }
  return surplus;
}

/** Masters that have applied the same entries have the same state, to the byte. False if they have not just now. */
export async function checkMasters(cluster: SimCluster): Promise<boolean> {
  const states: { readonly name: string; readonly index: number; readonly store: OrderedStore }[] = [];
  for (const { node, process } of cluster.masters) {
    await process!.replica.flush(); // puts counters and sessions, kept in memory, into the store
    states.push({ name: node.name, index: process!.replica.appliedIndex, store: process!.replica.store });
  }
  const [first, ...others] = states as [(typeof states)[number], ...typeof states];
  for (const other of others) {
    if (other.index !== first.index) return false;
    const expected = pairsOf(first.store);
    const actual = pairsOf(other.store);
    for (const [key, value] of expected) {
      const found = actual.get(key);
      mustHold(found !== undefined, () => `${other.name} lacks key ${JSON.stringify(key)}, which ${first.name} has`);
      mustEqualBytes(found, value, `key ${JSON.stringify(key)} of ${other.name}, compared with ${first.name}`);
      actual.delete(key);
    }
    for (const key of actual.keys())
      mustHold(false, () => `${other.name} has key ${JSON.stringify(key)}, which ${first.name} lacks`);
  }
  return true;
}

function pairsOf(store: OrderedStore): Map<string, Uint8Array> {
  return new Map(store.scan('\x01', '\xff'.repeat(600)));
}
