import { describe, expect, test } from 'vitest';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { openFileMap } from './file-map.ts';
import { OverlayStore } from './overlay-store.ts';
import { openWriteAheadLog } from './wal/open-write-ahead-log.ts';
import type { LogPlace } from './write-ahead-log.ts';

/** What the world knows of one log, whatever becomes of the processes. */
interface Ledger {
  /** Handed to the log so far; record n says n. */
  appended: number;
  /** Below this all records were acknowledged as durable. */
  durable: number;
  /** Below this the owner has asked to release. */
  released: number;
  violation: string | undefined;
  openings: number;
  refusals: string[];
}

const segmentBytes = 8 * 1024;

function recordOf(n: number, bytes: number): Uint8Array {
  const record = new Uint8Array(8 + bytes).fill(n & 0xff);
  new DataView(record.buffer).setFloat64(0, n);
  return record;
}

function numberOf(record: Uint8Array): number {
  return new DataView(record.buffer, record.byteOffset).getFloat64(0);
}

const preamble = new Uint8Array(3).fill(0xee);

/** Opens the log, compares it with the ledger, then appends, rotates and releases until the process ends. */
async function logProgram(env: Env, ledger: Ledger): Promise<void> {
  const found: number[] = [];
  const places: LogPlace[] = [];
  const log = await openWriteAheadLog(env, {
    directory: 'node/log',
    segmentBytes,
    preamble: () => [preamble],
    replay: (payload, place) => {
      if (payload.length === preamble.length) return;
      found.push(numberOf(payload));
      places.push(place);
    },
  });
  ledger.openings++;
  compare(found, ledger);
  // What was lost is written again under the same numbers.
  let next = found.length > 0 ? found.at(-1)! + 1 : Math.max(ledger.durable, ledger.released);
  ledger.appended = next;
  const byNumber = new Map(found.map((n, i) => [n, places[i]!]));
  for (;;) {
    const count = 1 + env.random.below(6);
    const first = next;
    const sync = env.random.next() < 0.7;
    const records = Array.from({ length: count }, () => recordOf(next++, env.random.below(900)));
    ledger.appended = next;
    const appended = log.append(records, sync).then((place) => {
      byNumber.set(first, place);
      if (sync) ledger.durable = Math.max(ledger.durable, first + count);
    });
    // Those that nobody waits for fail together with the next that somebody does.
    appended.catch(() => undefined);
    if (env.random.next() < 0.6) await appended;
    if (env.random.next() < 0.1) await log.rotate();
    if (env.random.next() < 0.15) {
      const keep = ledger.durable - env.random.below(20);
      const place = byNumber.get(keep);
      if (place !== undefined) {
        ledger.released = Math.max(ledger.released, keep);
        await log.release(place);
      }
    }
    await new Promise<void>((resolve) => env.clock.after(env.random.next() * 2, resolve));
  }
}

function compare(found: readonly number[], ledger: Ledger): void {
  const first = found[0] ?? ledger.released;
  if (found.some((n, i) => n !== first + i)) ledger.violation ??= `a gap or a stranger in ${found}`;
  if (first > ledger.released) ledger.violation ??= `${first} is the first, released was ${ledger.released}`;
  const end = first + found.length;
  if (end < ledger.durable) ledger.violation ??= `${end} is the end, durable was ${ledger.durable}`;
  if (end > ledger.appended) ledger.violation ??= `${end} is the end, appended was ${ledger.appended}`;
  // What has been found once stays.
  ledger.durable = Math.max(ledger.durable, end);
}

function start(env: Env, ledger: Ledger): void {
  logProgram(env, ledger).catch((thrown: unknown) => {
    if (thrown instanceof CairnError) ledger.refusals.push(thrown.code);
    else if (!(thrown instanceof Error && thrown.name === 'DeadIncarnationError')) ledger.violation ??= String(thrown);
  });
}

function newLedger(): Ledger {
  return { appended: 0, durable: 0, released: 0, violation: undefined, openings: 0, refusals: [] };
}

describe('the log on simulated machines', () => {
  test('keeps every durable record, in order, through kills and power losses at any moment', async () => {
    let openings = 0;
    let records = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const world = testWorld(`log ${seed}`);
      const node = world.node('a');
      const ledger = newLedger();
      start(node.env, ledger);
      for (let life = 0; life < 12; life++) {
        await world.run(world.random.next() * 120);
        node.crash({ loseUnsynced: world.random.chance(0.7) });
        start(node.restart(), ledger);
      }
      await world.run(100);
      expect({ seed, violation: ledger.violation, refusals: ledger.refusals }).toEqual({
        seed,
        violation: undefined,
        refusals: [],
      });
      openings += ledger.openings;
      records += ledger.durable;
    }
    expect(openings).toBeGreaterThan(100);
    expect(records).toBeGreaterThan(2_000);
  });

  test('replays no wrong record when writes are torn, misdirected or lost; most of it is found out', async () => {
    let refused = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const world = testWorld(`faulty log ${seed}`);
      const node = world.node('a');
      const ledger = newLedger();
      start(node.env, ledger);
      await world.run(60 + world.random.next() * 60);
      const fault = (['tornWrite', 'misdirectedWrite', 'lostWrite'] as const)[seed % 3]!;
      node.disk.arm(fault, (path) => path.endsWith('.wal'));
      // Soon, before the damaged segment has been released anyway.
      await world.run(12);
      node.crash({ loseUnsynced: true });
      start(node.restart(), ledger);
      await world.run(100);
      // What the disk claimed to hold may be gone at the end, but then nothing stands in its place.
      if (ledger.violation !== undefined) expect(ledger.violation).toMatch(/is the end, durable was/);
      expect(ledger.refusals.every((code) => code === 'LOG_CORRUPT')).toBe(true);
      refused += ledger.refusals.length;
    }
    expect(refused).toBeGreaterThan(6);
  });

  test('stops at a disk that is full or fails, and is whole when it is opened again', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const world = testWorld(`failing log ${seed}`);
      const node = world.node('a');
      const ledger = newLedger();
      start(node.env, ledger);
      await world.run(50 + world.random.next() * 50);
      if (seed % 2 === 0) node.disk.capacityBytes = node.disk.usedBytes;
      else node.disk.arm('syncError', (path) => path.startsWith('node/log/'));
      await world.run(300);
      expect(ledger.refusals).toEqual([seed % 2 === 0 ? 'DISK_FULL' : 'DISK_FAILED']);
      node.disk.healFaults();
      node.crash({ loseUnsynced: true });
      start(node.restart(), ledger);
      await world.run(50);
      expect({ seed, violation: ledger.violation, count: ledger.refusals.length }).toEqual({
        seed,
        violation: undefined,
        count: 1,
      });
    }
  });
});

test('what a failed sync has lost, and a kill has left in the page cache, survives a power loss once the log was opened', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const world = testWorld(seed);
    const node = world.node('a');
    const open = async () => {
      const found: number[] = [];
      const replay = (payload: Uint8Array) => void found.push(numberOf(payload));
      const log = await world.settle(
        openWriteAheadLog(node.env, { directory: 'log', segmentBytes, preamble: () => [], replay }),
      );
      return { log, found };
    };
    const { log } = await open();
    await world.settle(log.append([recordOf(1, 100)], true));
    node.disk.arm('syncError', (path) => path.endsWith('.wal'));
    await expect(world.settle(log.append([recordOf(2, 100)], true))).rejects.toMatchObject({ code: 'DISK_FAILED' });
    node.crash();
    node.restart();
    expect((await open()).found).toEqual([1, 2]);
    node.crash({ loseUnsynced: true });
    node.restart();
    expect((await open()).found, `seed ${seed}`).toEqual([1, 2]);
  }
});

describe('the ordered store on simulated machines', () => {
  test('is found at exactly the state of its index after kills and power losses at any moment', async () => {
    let openings = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const world = testWorld(`store ${seed}`);
      const node = world.node('a');
      const states = new Map<number, string>([[0, '']]);
      const seen = { durable: 0, violation: undefined as string | undefined };
      const stateOf = (store: OverlayStore): string =>
        [...store.scan('\x00', '\xff')].map(([key, value]) => `${key}=${value[0]}`).join(' ');
      const program = async (env: Env): Promise<void> => {
        const store = new OverlayStore(await openFileMap(env, 'node/state'));
        openings++;
        if (stateOf(store) !== states.get(store.appliedIndex))
          seen.violation ??= `at ${store.appliedIndex}: ${stateOf(store)}`;
        if (store.durableIndex < seen.durable) seen.violation ??= `${store.durableIndex} after ${seen.durable}`;
        for (;;) {
          const index = store.appliedIndex + 1;
          for (let i = env.random.below(5); i >= 0; i--) {
            const key = `k${env.random.below(20)}`;
            if (env.random.next() < 0.3) store.delete(key);
            // What the log would replay is always the same.
            else store.put(key, Uint8Array.of(index % 251));
          }
          store.applied(index);
          states.set(index, stateOf(store));
          if (env.random.next() < 0.3) {
            void store.flush().then((durable) => {
              seen.durable = Math.max(seen.durable, durable);
            });
          }
          await new Promise<void>((resolve) => env.clock.after(env.random.next() * 3, resolve));
        }
      };
      const begin = (env: Env): void => {
        program(env).catch((thrown: unknown) => {
          if (!(thrown instanceof Error && thrown.name === 'DeadIncarnationError')) seen.violation ??= String(thrown);
        });
      };
      begin(node.env);
      for (let life = 0; life < 10; life++) {
        await world.run(world.random.next() * 60);
        node.crash({ loseUnsynced: world.random.chance(0.7) });
        begin(node.restart());
      }
      await world.run(30);
      expect({ seed, violation: seen.violation }).toEqual({ seed, violation: undefined });
    }
    expect(openings).toBeGreaterThan(80);
  });
});
