import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ChunkHandle, toChunkHandle, toChunkVersion } from '../../core/base/brand.ts';
import { ChunkServer } from './chunk-servers.ts';
import { compareInventory, recordsPerPageMax } from './inventory.ts';
import { must, servers, sid, TestMachine } from './state/machine.test-support.ts';
import { confirmedMax, MissingReplicas, ShortReplicas, suspectedMax } from './suspicions.ts';
import { Unlooked } from './unlooked.ts';

const server = new ChunkServer(sid(1), { address: 's1:1' as never, rack: '', draining: false }, 0);

/** A file whose chunk i + 1 is on server 1 or not, and has bytes or not. */
function table(chunks: readonly { readonly isHere: boolean; readonly length: number; readonly isGone: boolean }[]) {
  const m = new TestMachine();
  const { inode } = must(m.open('/a', { placement: [] }));
  chunks.forEach(({ isHere, length }, i) => {
    const { handle } = must(m.addChunk(inode, i, servers(isHere ? 1 : 2, 3)));
    m.report(handle, 1, length, false);
  });
  chunks.forEach(({ isGone }, i) => {
    if (isGone) m.store.delete(`c\u0001${String.fromCharCode(i + 1)}`);
  });
  return m;
}

describe('an inventory page', () => {
  it('is compared as one would one by one', () => {
    const chunk = fc.record({ isHere: fc.boolean(), length: fc.nat(2), isGone: fc.boolean(), isHeld: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(chunk, { maxLength: 30 }),
        fc.nat(10),
        fc.nat(40),
        fc.nat(35),
        (chunks, from, span, cloning) => {
          const m = table(chunks);
          const to = from + span;
          const inPage = (i: number) => i + 1 >= from && i + 1 <= to;
          const held = chunks.flatMap(({ isHeld }, i) =>
            isHeld && inPage(i) ? [{ handle: toChunkHandle(i + 1), version: toChunkVersion(1), length: 0 }] : [],
          );
          const found = compareInventory(m.tables, server, { from, to, held }, (handle) => handle === cloning);
          const expected = { garbage: [] as number[], missing: [] as number[] };
          chunks.forEach(({ isHere, isGone, isHeld, length }, i) => {
            if (!inPage(i) || i + 1 === cloning) return;
            const belongs = isHere && !isGone;
            if (isHeld && !belongs) expected.garbage.push(i + 1);
            if (!isHeld && belongs && length > 0) expected.missing.push(i + 1);
          });
          expect({ garbage: found.garbage.map(({ handle }) => handle), missing: found.missing }).toEqual(expected);
        },
      ),
    );
  });

  it('calls a replica of a sealed chunk short that is shorter than the chunk, but no other', () => {
    const m = table([]);
    const { inode } = must(m.open('/b', { placement: [] }));
    const [sealed, open] = [0, 1].map((i) => must(m.addChunk(inode, i, servers(1, 2, 3))).handle);
    m.report(sealed!, 1, 100, true);
    m.report(open!, 1, 100, false);
    const short = (length: number) => {
      const held = [sealed!, open!].map((handle) => ({ handle, version: toChunkVersion(1), length }));
      return compareInventory(m.tables, server, { from: 1, to: 9, held }, () => false).short;
    };
    expect([short(99), short(100)]).toEqual([[sealed], []]);
  });

  it('finds all that a server with an empty disk should have, however much of others lies between', () => {
    const m = new TestMachine();
    const { inode } = must(m.open('/a', { placement: [] }));
    const others = recordsPerPageMax + 100;
    for (let i = 0; i < others + 10; i++) {
      const { handle } = must(m.addChunk(inode, i, servers(i < others ? 2 : 1, 3)));
      if (i >= others) m.report(handle, 1, 10, true);
    }
    const page = { from: 1, to: Number.MAX_SAFE_INTEGER, held: [] };
    const unlooked = new Unlooked();
    const found = [1, 2, 3].map(() => {
      const lookFrom = unlooked.startOf(page);
      const { missing, lookedTo } = compareInventory(m.tables, server, page, () => false, lookFrom);
      unlooked.looked(page, { from: lookFrom, to: lookedTo });
      return missing.length;
    });
    expect(found).toEqual([0, 10, 0]);
  });

  it('calls nothing garbage that no table of this cluster could have named', () => {
    const m = table([]);
    const held = [{ handle: toChunkHandle(7), version: toChunkVersion(1), length: 1 }];
    const page = { from: 1, to: Number.MAX_SAFE_INTEGER, held };
    expect(compareInventory(m.tables, server, page, () => false).garbage).toEqual([]);
  });
});

describe('what is left of the table between the ends of pages', () => {
  it('is looked at in the end, whatever the pages are and however little is looked at for each', () => {
    const cut = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(
        fc.array(fc.array(cut, { maxLength: 3 }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 7 }),
        (passes, n) => {
          const unlooked = new Unlooked();
          const seen = new Set<number>();
          const settled: number[][] = Array.from({ length: 80 }, () => []); // in the end the pages stay as they are
          for (const cuts of [...passes, ...settled]) {
            const starts = [1, ...new Set(cuts.filter((at) => at > 1))].sort((a, b) => a - b);
            for (const [i, from] of starts.entries()) {
              const page = { from, to: (starts[i + 1] ?? 41) - 1 };
              const start = unlooked.startOf(page);
              expect(start).toBeGreaterThanOrEqual(from);
              const to = Math.min(page.to, start + n - 1);
              for (let handle = start; handle <= to; handle++) seen.add(handle);
              unlooked.looked(page, { from: start, to });
            }
          }
          expect(seen.size).toBe(40);
        },
      ),
    );
  });
});

describe('replicas that seem to be gone', () => {
  const page = { from: 1, to: 10_000_000 };
  const at = toChunkHandle(3);

  it('are taken for missing by the second page in a row that lacks them', () => {
    const missing = new MissingReplicas();
    const seen = [[at], [], [at], [at], [at]].map((handles) => missing.confirmed(sid(1), page, handles).length);
    expect(seen).toEqual([0, 0, 0, 1, 0]);
  });

  it('are acted upon a bounded number at a time, all of them in the end', () => {
    const missing = new MissingReplicas();
    const short = new ShortReplicas();
    const all = Array.from({ length: 5 * confirmedMax - 1 }, (_, n) => toChunkHandle(n + 1));
    const left = { missing: new Set(all), short: new Set(all) };
    for (let round = 0; round < 6; round++) {
      const found = {
        missing: missing.confirmed(sid(1), page, [...left.missing]),
        short: short.confirmed(sid(1), page, [...left.short], () => [sid(2)]),
      };
      for (const kind of ['missing', 'short'] as const) {
        expect(found[kind].length).toBeLessThanOrEqual(confirmedMax);
        for (const handle of found[kind]) left[kind].delete(handle);
      }
    }
    expect([left.missing.size, left.short.size]).toEqual([0, 0]);
  });

  it('are found however many seemed to be missing for a moment before', () => {
    const missing = new MissingReplicas();
    const short = new ShortReplicas();
    for (let i = 1; i <= 10 * suspectedMax; i += 1000) {
      const some = Array.from({ length: 1000 }, (_, n) => toChunkHandle(i + n));
      missing.confirmed(sid(1), page, some);
      short.confirmed(sid(1), page, some, () => [sid(2)]);
    }
    const found = [1, 2].map(() => [
      missing.confirmed(sid(1), page, [at]).length,
      short.confirmed(sid(1), page, [at], () => [sid(2)]).length,
    ]);
    expect(found[1]).toEqual([1, 1]);
  });

  it('are done without however many others are short everywhere, each the best that is left', () => {
    const seen = new ShortReplicas();
    const all = Array.from({ length: 20_000 }, (_, n) => toChunkHandle(n + 1));
    const note = (server: number, handles: readonly ChunkHandle[]) =>
      seen.confirmed(sid(server), page, handles, () => [1, 2, 3].filter((id) => id !== server).map(sid));
    for (const server of [1, 2, 3, 1, 2, 3]) note(server, all);
    const alone = toChunkHandle(30_000);
    expect([note(1, [...all, alone]), note(1, [...all, alone])]).toEqual([[], [alone]]);
  });

  it('are done without when they are short twice, if another that is up has never been short', () => {
    const seen = new ShortReplicas();
    const note = (server: number, ...others: number[]) =>
      seen.confirmed(sid(server), page, [at], () => others.map(sid)).length === 1;
    expect([note(1, 2, 3), note(1, 2, 3)]).toEqual([false, true]);
    expect([note(1, 2, 3), note(2, 1, 3), note(3, 1, 2)]).toEqual([false, false, false]);
    expect([note(1, 2, 3), note(2, 1), note(3)]).toEqual([false, false, false]);
  });
});
