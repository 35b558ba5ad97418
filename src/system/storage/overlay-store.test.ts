import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CairnError } from '../../core/base/errors.ts';
import { openFileMap } from './file-map.ts';
import { afterPowerLoss, losses, testEnv } from './memory-disk.test-support.ts';
import { MemoryMap } from './memory-map.ts';
import type { Change, Key, OrderedStore, Pair } from './ordered-store.ts';
import { metaKey, OverlayStore } from './overlay-store.ts';

const everything = ['\x00', '\xff\xff\xff\xff'] as const;

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : String.fromCharCode(...value);
}
function all(store: Pick<OrderedStore, 'scan'>): Record<string, string> {
  return Object.fromEntries([...store.scan(...everything)].map(([key, value]) => [key, text(value)!]));
}
async function* batchesOf(...batches: (readonly [string, string])[][]): AsyncIterable<readonly Pair[]> {
  for (const batch of batches) yield batch.map(([key, value]) => [key, bytes(value)] as const);
}
async function gathered(
  store: { batches(n: number): AsyncIterable<readonly Pair[]> },
  size = 10,
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const batch of store.batches(size)) for (const [key, value] of batch) found[key] = text(value)!;
  return found;
}

/** Commits when it is told to. */
class HeldMap extends MemoryMap {
  held: { release: () => void; fail: (cause: unknown) => void } | undefined;
  commits: Change[][] = [];
  hold = true;
  override async commit(changes: Iterable<Change>): Promise<void> {
    const list = [...changes];
    if (this.hold) {
      await new Promise<void>((release, fail) => {
        this.held = { release, fail };
      });
    }
    this.commits.push(list);
    await super.commit(list);
  }
}

/** Lets all that is ready run. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

type Step =
  | { readonly kind: 'put' | 'delete' | 'get'; readonly key: Key }
  | { readonly kind: 'scan'; readonly from: Key; readonly to: Key }
  | { readonly kind: 'flush' | 'release' | 'fail' | 'freeze' | 'crash' | 'replace' };

const key = fc.integer({ min: 1, max: 40 }).map((n) => `${String.fromCharCode(n % 7)}${n}`);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom('put', 'delete', 'get'), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('scan'), from: key, to: key }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('flush', 'release', 'fail', 'freeze', 'crash', 'replace') }),
  },
);

function sortedScan(model: ReadonlyMap<string, string>, from = '', to = '\xff'): [string, string][] {
  return [...model].filter(([k]) => k >= from && k < to).sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('the overlay store', () => {
  test('reads as a plain map whatever is flushed, failed, frozen, replaced or crashed meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const map = new HeldMap();
        let store = new OverlayStore(map);
        let model = new Map<string, string>();
        /** The whole state after each index, for crashes. */
        const history = new Map<number, Map<string, string>>([[0, new Map()]]);
        const frozen: { view: Promise<{ index: number; batches(n: number): AsyncIterable<readonly Pair[]> }> }[] = [];
        let flushes: Promise<unknown>[] = [];
        const drain = async (): Promise<void> => {
          map.hold = false;
          map.held?.release();
          await Promise.all(flushes);
          await settle();
          map.hold = true;
          map.held = undefined;
          flushes = [];
        };
        let index = 0;
        for (const now of steps) {
          if (now.kind === 'put' || now.kind === 'delete') {
            const value = `v${index}`;
            if (now.kind === 'put') store.put(now.key, bytes(value));
            else store.delete(now.key);
            if (now.kind === 'put') model.set(now.key, value);
            else model.delete(now.key);
            store.applied(++index);
            history.set(index, new Map(model));
          } else if (now.kind === 'get') expect(text(store.get(now.key))).toBe(model.get(now.key));
          else if (now.kind === 'scan') {
            const found = [...store.scan(now.from, now.to)].map(([k, v]) => [k, text(v)]);
            expect(found).toEqual(sortedScan(model, now.from, now.to));
          } else if (now.kind === 'flush') flushes.push(store.flush().catch(() => undefined));
          else if (now.kind === 'freeze') {
            const view = store.freeze();
            flushes.push(
              view.then(
                (v) => v,
                () => undefined,
              ),
            );
            frozen.push({ view });
          } else if (now.kind === 'release' || now.kind === 'fail') {
            if (now.kind === 'release') map.held?.release();
            else map.held?.fail(new CairnError('DISK_FULL', 'the disk is full'));
            map.held = undefined;
            await settle();
          } else if (now.kind === 'replace') {
            await drain();
            model = new Map([['\x01new', `r${index}`]]);
            await store.replace(batchesOf([...model]), ++index);
            history.set(index, new Map(model));
          } else if (now.kind === 'crash') {
            // The commit that is held never comes.
            map.held = undefined;
            flushes = [];
            store = new OverlayStore(map);
            index = store.appliedIndex;
            model = new Map(history.get(index));
          }
          await settle();
        }
        await drain();
        expect(all(store)).toEqual(Object.fromEntries(model));
        for (const { view } of frozen) {
          const found = await Promise.race([view.catch(() => undefined), settle().then(() => undefined)]);
          if (found !== undefined) expect(await gathered(found)).toEqual(Object.fromEntries(history.get(found.index)!));
        }
      }),
      { numRuns: 300 },
    );
  });

  test('a flush is one commit with the applied index, and takes in only what was applied before it', async () => {
    const map = new HeldMap();
    const store = new OverlayStore(map);
    store.put('a', bytes('1'));
    store.put('b', bytes('2'));
    store.applied(1);
    const flushed = store.flush();
    await settle();
    store.put('b', bytes('3'));
    store.delete('a');
    store.applied(2);
    expect(all(store)).toEqual({ b: '3' });
    expect(store.durableIndex).toBe(0);
    map.held!.release();
    expect(await flushed).toBe(1);
    expect(map.commits).toHaveLength(1);
    expect(map.commits[0]!.map(([k]) => k)).toEqual([metaKey, 'a', 'b']);
    expect(new OverlayStore(map).appliedIndex).toBe(1);
    expect(all(new OverlayStore(map))).toEqual({ a: '1', b: '2' });
    expect(all(store)).toEqual({ b: '3' });
  });

  test('a flush that fails loses nothing: the next one writes it, in order', async () => {
    const map = new HeldMap();
    const store = new OverlayStore(map);
    store.put('a', bytes('1'));
    store.applied(1);
    const failed = store.flush();
    await settle();
    store.put('a', bytes('2'));
    store.applied(2);
    map.held!.fail(new CairnError('DISK_FULL', 'the disk is full'));
    await expect(failed).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(all(store)).toEqual({ a: '2' });
    expect(store.dirtyBytes).toBeGreaterThan(200);
    map.hold = false;
    expect(await store.flush()).toBe(2);
    expect(map.commits.map((changes) => text(changes[1]![1]))).toEqual(['1', '2']);
    expect(store.dirtyBytes).toBe(0);
  });

  test('a frozen view is of the moment it was asked for, though a flush was under way and writes go on', async () => {
    const map = new HeldMap();
    const store = new OverlayStore(map);
    store.put('a', bytes('1'));
    store.applied(1);
    const flushed = store.flush();
    await settle();
    store.put('a', bytes('2'));
    store.put('b', bytes('2'));
    store.applied(2);
    const freezing = store.freeze();
    store.delete('a');
    store.applied(3);
    const later = store.flush();
    map.hold = false;
    map.held!.release();
    const frozen = await freezing;
    expect(frozen.index).toBe(2);
    expect([await flushed, await later]).toEqual([1, 3]);
    expect(await gathered(frozen)).toEqual({ a: '2', b: '2' });
    expect(all(store)).toEqual({ b: '2' });
  });

  test('reads the newest of several flushes that wait', async () => {
    const store = new OverlayStore(new HeldMap());
    for (let index = 1; index <= 3; index++) {
      store.put('a', bytes(`${index}`));
      if (index < 3) store.put('b', bytes(`${index}`));
      else store.delete('b');
      store.applied(index);
      void store.flush();
    }
    expect(text(store.get('a'))).toBe('3');
    expect(store.get('b')).toBeUndefined();
    expect(all(store)).toEqual({ a: '3' });
  });

  test('what is written after `applied` belongs to that index', async () => {
    const map = new MemoryMap();
    const store = new OverlayStore(map);
    store.applied(4);
    await store.flush();
    store.put('sessions', bytes('saved'));
    expect(await store.flush()).toBe(4);
    expect(all(new OverlayStore(map))).toEqual({ sessions: 'saved' });
  });

  test('flushes that never end are bounded', async () => {
    const store = new OverlayStore(new HeldMap());
    const refused: unknown[] = [];
    for (let index = 1; index <= 20; index++) {
      store.applied(index);
      store.flush().catch((error: unknown) => refused.push(error));
    }
    await settle();
    expect(refused).toHaveLength(4);
    expect(refused[0]).toMatchObject({ code: 'BUSY' });
  });

  test('the index alone is flushed too', async () => {
    const map = new MemoryMap();
    const store = new OverlayStore(map);
    store.applied(7);
    expect(await store.flush()).toBe(7);
    expect(new OverlayStore(map).appliedIndex).toBe(7);
    expect(all(store)).toEqual({});
  });

  test('its own key is neither read nor written by others', async () => {
    const map = new MemoryMap();
    const store = new OverlayStore(map);
    store.applied(1);
    await store.flush();
    expect(store.get(metaKey)).toBeUndefined();
    expect([...store.scan('', '\xff')]).toEqual([]);
    expect(() => store.put(metaKey, bytes('x'))).toThrow();
  });

  test('a map of another format version is refused', async () => {
    const map = new MemoryMap();
    await map.commit([[metaKey, Uint8Array.of(9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)]]);
    expect(() => new OverlayStore(map)).toThrow(expect.objectContaining({ code: 'WRONG_FORMAT' }));
    await map.commit([[metaKey, Uint8Array.of(1, 0, 0)]]);
    expect(() => new OverlayStore(map)).toThrow(expect.objectContaining({ code: 'DISK_CORRUPT' }));
  });

  test('a replacement that fails leaves the old content', async () => {
    const store = new OverlayStore(new MemoryMap());
    store.put('a', bytes('1'));
    store.applied(1);
    async function* broken(): AsyncIterable<readonly Pair[]> {
      yield [['x', bytes('9')]];
      throw new CairnError('CONNECTION_LOST', 'the peer is gone');
    }
    await expect(store.replace(broken(), 5)).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(all(store)).toEqual({ a: '1' });
    expect(store.appliedIndex).toBe(1);
    store.put('b', bytes('2'));
    store.applied(2);
    expect(await store.flush()).toBe(2);
  });
});

describe('the map in a file', () => {
  for (const [how, loss] of Object.entries(losses)) {
    test(`after a power loss at any operation, when ${how}, holds exactly the state of its index`, async () => {
      const env = testEnv();
      const store = new OverlayStore(await openFileMap(env, 'state'));
      const states = new Map<number, Record<string, string>>([[0, {}]]);
      const durable: { readonly at: number; readonly index: number }[] = [];
      for (let index = 1; index <= 12; index++) {
        for (let i = 0; i < 5; i++) {
          const at = `k${(index * 3 + i) % 11}`;
          if ((index + i) % 4 === 0) store.delete(at);
          else store.put(at, bytes(`${index}.${i}`));
        }
        store.applied(index);
        states.set(index, all(store));
        if (index % 2 === 0) durable.push({ index: await store.flush(), at: env.disk.journal.length });
        if (index === 7) {
          await store.replace(batchesOf([['k0', 'new']], [['k5', 'newer']]), 7);
          states.set(7, all(store));
          durable.push({ index: 7, at: env.disk.journal.length });
        }
      }
      for (let cut = 0; cut <= env.disk.journal.length; cut++) {
        const disk = afterPowerLoss(env.disk.journal.slice(0, cut), loss);
        const found = new OverlayStore(await openFileMap(testEnv(disk), 'state'));
        expect(found.appliedIndex).toBeGreaterThanOrEqual(durable.findLast(({ at }) => at <= cut)?.index ?? 0);
        expect(all(found)).toEqual(states.get(found.appliedIndex));
      }
    });
  }

  test('has found nothing that a power loss could take, though who wrote it was killed before it was durable', async () => {
    const { disk, ...env } = testEnv();
    const store = new OverlayStore(await openFileMap({ ...env, disk }, 'state'));
    disk.syncDirectory = () => new Promise(() => {}); // it goes no further
    store.put('key', bytes('value'));
    store.applied(7);
    void store.flush();
    await settle();
    Reflect.deleteProperty(disk, 'syncDirectory');
    const found = new OverlayStore(await openFileMap({ ...env, disk }, 'state'));
    expect(found.durableIndex).toBe(7);
    const left = afterPowerLoss(disk.journal, losses['nothing unsynced is kept']!);
    expect(new OverlayStore(await openFileMap(testEnv(left), 'state')).durableIndex).toBe(7);
  });

  test('refuses every flipped bit', async () => {
    const env = testEnv();
    const map = await openFileMap(env, 'state');
    await map.commit([['key', bytes('value')]]);
    const size = env.disk.bytesOf('state/map').length;
    for (let bit = 0; bit < size * 8; bit++) {
      const disk = env.disk.copy();
      disk.bytesOf('state/map')[bit >> 3]! ^= 1 << (bit & 7);
      await expect(openFileMap(testEnv(disk), 'state')).rejects.toMatchObject({ code: 'DISK_CORRUPT' });
    }
  });

  test('keeps the old content when the disk is full', async () => {
    const env = testEnv();
    const map = await openFileMap(env, 'state');
    await map.commit([['key', bytes('old')]]);
    env.disk.before = ({ kind }) => {
      if (kind === 'write') throw new CairnError('DISK_FULL', 'the disk is full');
    };
    await expect(map.commit([['key', bytes('new')]])).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(text(map.get('key'))).toBe('old');
    env.disk.before = () => {};
    expect(text((await openFileMap(env, 'state')).get('key'))).toBe('old');
    await map.commit([['key', bytes('newer')]]);
    expect(text((await openFileMap(env, 'state')).get('key'))).toBe('newer');
  });
});
