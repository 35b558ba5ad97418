/**
 * Appends of several writers while servers are killed, lose power, are cut off and stopped, from one seed each. What was acknowledged is
 * there in the end, at the offset that was answered; each record is there once; and all members hold the same bytes.
 */
import { expect, test } from 'vitest';
import type { CairnError } from '../../core/base/errors.ts';
import type { Durability, Grant } from '../../core/protocol/types.ts';
import type { SimRandom } from '../../platform/sim/random.ts';
import { difference, pattern, TestCluster } from './cluster.test-support.ts';

const handle = 5;
const servers = [1, 2, 3, 4];
const recordsPerWriter = 30;
const writers = [1, 2, 3];
/** Appends once more when the storm is over, which makes the members equal. */
const closer = 9;
const stormMs = 6000;

class Storm {
  readonly cluster: TestCluster;
  readonly random: SimRandom;
  readonly durability: Durability;
  /** Offset by `writer/sequence`. */
  readonly acknowledged = new Map<string, number>();
  readonly trouble = new Map<string, number>();
  grant: Grant;
  #regranting: Promise<void> | undefined;
  #powerLosses: number;

  constructor(cluster: TestCluster, seed: number) {
    this.cluster = cluster;
    this.random = cluster.world.random.fork('storm');
    this.durability = seed % 2 === 0 ? 'disk' : 'memory';
    // What is in memory only outlasts the loss of one machine's memory, not of all.
    this.#powerLosses = this.durability === 'disk' ? Number.POSITIVE_INFINITY : 1;
    cluster.master.isExcludingDamaged = true;
    this.grant = cluster.master.grant(handle, servers, this.durability);
  }

  record(writer: number, sequence: number): Uint8Array {
    const seed = writer * 1000 + sequence;
    return pattern(sequence % 7 === 3 ? 66_000 + seed : 50 + (seed % 900), seed);
  }

  // -------------------------------------------------------------- writers

  async write(writer: number): Promise<void> {
    let next = 0;
    const lane = async () => {
      while (next < recordsPerWriter) {
        const first = next;
        const count = Math.min(1 + this.random.below(3), recordsPerWriter - first);
        next += count;
        await this.#appendUntilKnown(writer, first, count);
        await this.#pause(this.random.below(120));
      }
    };
    await Promise.all([lane(), lane()]);
  }

  async #appendUntilKnown(writer: number, first: number, count: number): Promise<void> {
    const records = Array.from({ length: count }, (_, i) => this.record(writer, first + i));
    for (;;) {
      const { grant } = this;
      try {
        const { offsets } = await this.cluster.client.append(grant, writer, first, records);
        expect(offsets).toHaveLength(count);
        for (const [i, offset] of offsets.entries()) this.acknowledged.set(`${writer}/${first + i}`, offset);
        return;
      } catch (thrown) {
        const { code, retry } = thrown as CairnError;
        this.trouble.set(code, (this.trouble.get(code) ?? 0) + 1);
        if (retry === 'never') throw thrown;
        await this.#pause(5 + this.random.below(60));
        if (code !== 'BUSY' && this.grant === grant) await this.#regrant(grant);
      }
    }
  }

  /** As the master does: who has no session leaves the set, for ever, if one that stays has the chunk; any of the others may become the primary. */
  #regrant(old: Grant): Promise<void> {
    this.#regranting ??= this.#regrantNow(old).finally(() => {
      this.#regranting = undefined;
    });
    return this.#regranting;
  }

  async #regrantNow(old: Grant): Promise<void> {
    const { master } = this.cluster;
    while (this.grant === old) {
      const known = master.grants.get(handle)!;
      const alive = known.replicas.map(({ server }) => Number(server)).filter((id) => master.hasSession(id));
      if (known.version > old.version && master.hasSession(known.replicas[0]!.server)) this.grant = known;
      else if (await this.#isHeldByOne(alive, known)) {
        if (master.grants.get(handle) === known && alive.every((id) => master.hasSession(id)))
          this.grant = master.grant(handle, this.random.shuffled(alive), this.durability);
      } else await this.#pause(50);
    }
  }

  async #isHeldByOne(alive: readonly number[], known: Grant): Promise<boolean> {
    if (alive.length === 0) return false;
    if (alive.length === known.replicas.length || this.acknowledged.size === 0) return true;
    return (await Promise.all(alive.map((id) => this.cluster.master.holds(id, handle)))).includes(true);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.cluster.world.after(ms, resolve));
  }

  // -------------------------------------------------------------- weather

  async blow(): Promise<void> {
    const { world } = this.cluster;
    const until = world.now + stormMs;
    while (world.now < until) {
      await world.run(20 + this.random.below(400));
      await this.#strike(this.random.pick(servers));
    }
    world.network.heal();
    for (const id of servers) await this.#bringBack(id);
  }

  async #strike(id: number): Promise<void> {
    const { world } = this.cluster;
    const node = world.node(`s${id}`);
    if (!node.isUp || node.isHeld) return this.#bringBack(id);
    switch (this.random.below(5)) {
      case 0:
        return this.cluster.kill(id);
      case 1: {
        // A set of one has nobody to take from.
        const isLast = this.cluster.master.grants.get(handle)!.replicas.length === 1;
        if (this.#powerLosses === 0 || (isLast && this.durability === 'memory')) return;
        this.#powerLosses -= 1;
        return this.cluster.kill(id, true);
      }
      case 2:
        return node.pause();
      case 3: {
        const heal = world.network.isolate(`s${id}`);
        world.after(this.random.below(2500), heal);
        return;
      }
      default: {
        const other = this.random.pick(servers.filter((one) => one !== id));
        if (this.random.chance(0.5)) world.network.reset(`s${id}`, `s${other}`);
        else world.network.stall(`s${id}`, `s${other}`, 300);
      }
    }
  }

  async #bringBack(id: number): Promise<void> {
    const node = this.cluster.world.node(`s${id}`);
    if (!node.isUp) {
      node.restart();
      await this.cluster.startServer(id);
    } else if (node.isHeld) node.resume();
  }

  // -------------------------------------------------------------- the end

  async check(): Promise<void> {
    const { cluster } = this;
    await cluster.serving();
    const members = cluster.master.grants.get(handle)!.replicas.map(({ server }) => Number(server));
    this.grant = cluster.master.grant(handle, this.random.shuffled(members), this.durability);
    await cluster.settle(this.#appendUntilKnown(closer, 0, 1));
    await cluster.serving();
    // Who could not be made equal was left out.
    const equal = cluster.master.grants.get(handle)!.replicas.map(({ server }) => Number(server));
    const content = await cluster.content(equal[0]!, handle);
    for (const member of equal) expect(difference(await cluster.content(member, handle), content)).toBe('none');
    let bytes = 0;
    for (const writer of [...writers, closer]) {
      for (let sequence = 0; sequence < (writer === closer ? 1 : recordsPerWriter); sequence++) {
        const record = this.record(writer, sequence);
        const offset = this.acknowledged.get(`${writer}/${sequence}`)!;
        expect(difference(content.subarray(offset, offset + record.length), record)).toBe('none');
        bytes += record.length;
      }
    }
    // Every record is where its answer said, none overlaps another, and nothing else is there: so each is there once.
    expect(content.length).toBe(bytes);
  }
}

test.each([...Array(12).keys()])('appends through a storm land once and stay (seed %i)', async (seed) => {
  const cluster = await TestCluster.start(`storm ${seed}`, servers.length, {
    replicaTimeoutMs: 800,
    excludeTimeoutMs: 3000,
  });
  const storm = new Storm(cluster, seed);
  const writing = Promise.all(writers.map((writer) => storm.write(writer)));
  await storm.blow();
  await cluster.settle(writing);
  await storm.check();
  // What was pushed and never ordered is given up in the end; then nothing is held any more.
  await cluster.world.run(15_000);
  for (const server of cluster.servers.values()) {
    expect(server.load).toMatchObject({
      mutationBytes: 0,
      stagedBytes: 0,
      readBytes: 0,
      bulkBuffers: 0,
      smallBuffers: 0,
      leases: 0,
    });
  }
});
