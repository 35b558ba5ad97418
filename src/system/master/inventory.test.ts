import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toChunkHandle, toChunkVersion } from '../../core/base/brand.ts';
import { ChunkServer } from './chunk-servers.ts';
import { compareInventory, ShortReplicas } from './inventory.ts';
import { must, servers, sid, TestMachine } from './state/machine.test-support.ts';

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

  it('does without a short replica that was seen twice, if another that is up has never been short', () => {
    const seen = new ShortReplicas();
    const at = toChunkHandle(3);
    const note = (server: number, ...others: number[]) => seen.note(at, sid(server), others.map(sid));
    expect([note(1, 2, 3), note(1, 2, 3)]).toEqual([false, true]);
    expect([note(1, 2, 3), note(2, 1, 3), note(3, 1, 2)]).toEqual([false, false, false]);
    expect([note(1, 2, 3), note(2, 1), note(3)]).toEqual([false, false, false]);
  });

  it('calls nothing garbage that no table of this cluster could have named', () => {
    const m = table([]);
    const held = [{ handle: toChunkHandle(7), version: toChunkVersion(1), length: 1 }];
    const page = { from: 1, to: Number.MAX_SAFE_INTEGER, held };
    expect(compareInventory(m.tables, server, page, () => false).garbage).toEqual([]);
  });
});
