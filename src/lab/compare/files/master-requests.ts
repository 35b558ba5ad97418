/** The requests that the GFS paper's clusters make of their master (Table 6), made of ours: without the caches of a client in between. */
import { tmpdir } from 'node:os';
import { type Address, toAddress, toChunkIndex } from '../../../core/base/brand.ts';
import { type Attributes, nothingAsked } from '../../../core/protocol/types.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { Masters } from '../../../system/client/masters.ts';
import { type PaperCluster, PaperMix } from '../workload/paper-mix.ts';
import type { FileStore } from './file-store.ts';
import { randomFrom } from './random.ts';

const filesThere = 400;
const entriesAsked = 100;
const deadlineMs = 60_000;

export interface MasterPlan {
  readonly masters: readonly string[];
  readonly dir: string;
  readonly cluster: PaperCluster;
  readonly forMs: number;
  readonly seed: number;
}

/** @returns requests answered per second, of one client for each store, each with one request under way */
export async function masterRequests(stores: readonly FileStore[], plan: MasterPlan): Promise<number> {
  const { masters, dir, forMs } = plan;
  const path = (file: number) => `${dir}/${file}`;
  await stores[0]!.makeDirectory(dir);
  const content = new Uint8Array(4096).fill(3);
  let next = 0;
  await Promise.all(
    stores.map(async (store) => {
      for (let i = next++; i < filesThere; i = next++) await store.create(path(i), content);
    }),
  );
  const clients = await Promise.all(stores.map((_, client) => Client.connect(masters.map(toAddress), plan, client)));
  const until = performance.now() + forMs;
  const startedAt = performance.now();
  let requests = 0;
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < until) {
        await client.one();
        requests += 1;
      }
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  for (const client of clients) client.close();
  return requests / seconds;
}

class Client {
  readonly #masters: Masters;
  readonly #mix: PaperMix;
  readonly #random: () => number;
  readonly #plan: MasterPlan;
  readonly #files = new Map<string, Attributes>();
  /** What it deletes it makes before: two requests, counted as one. */
  readonly #own: string;

  private constructor(masters: Masters, plan: MasterPlan, client: number) {
    this.#masters = masters;
    this.#plan = plan;
    this.#random = randomFrom(plan.seed * 1000 + client);
    this.#mix = new PaperMix(plan.cluster, this.#random);
    this.#own = `${plan.dir}/own-${client}`;
  }

  static async connect(addresses: readonly Address[], plan: MasterPlan, client: number): Promise<Client> {
    const masters = await Masters.find(nodeEnv({ dir: tmpdir() }), addresses, deadlineMs);
    return new Client(masters, plan, client);
  }

  async one(): Promise<void> {
    const path = `${this.#plan.dir}/${Math.floor(this.#random() * filesThere)}`;
    switch (this.#mix.masterRequest()) {
      case 'open':
        await this.#stat(path);
        return;
      case 'findLocation':
        await this.#masters.read('locate', {
          inode: (await this.#opened(path)).inode,
          first: toChunkIndex(0),
          count: 1,
        });
        return;
      case 'findLeaseHolder': {
        const { inode, chunkBytes } = await this.#opened(path);
        const chunk = { inode, chunkBytes, index: toChunkIndex(0), ifMissing: { kind: 'make' } } as const;
        await this.#masters.command('acquire', { ...chunk, after: undefined });
        return;
      }
      case 'findMatchingFiles':
        await this.#masters.read('readdir', {
          path: this.#plan.dir,
          after: '',
          limit: entriesAsked,
          withAttributes: false,
        });
        return;
      case 'delete':
        await this.#delete();
        return;
      case 'other':
        await this.#masters.read('status', {});
    }
  }

  close(): void {
    this.#masters.close();
  }

  /** A client knows the file that it has open: it is looked up once. */
  async #opened(path: string): Promise<Attributes> {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const attributes = await this.#stat(path);
    this.#files.set(path, attributes);
    return attributes;
  }

  #stat(path: string) {
    return this.#masters.read('stat', { path });
  }

  async #delete(): Promise<void> {
    await this.#masters.command('mkdir', { path: this.#own, parents: true, ...nothingAsked });
    await this.#masters.command('remove', { path: this.#own, recursive: false });
  }
}
