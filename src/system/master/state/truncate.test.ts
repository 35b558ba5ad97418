import { describe, expect, it } from 'vitest';
import { chunkBytes, TestMachine } from './machine.test-support.ts';
import { decodeInode } from './records.ts';

/** A file with chunks at these indexes. */
function fileWith(...indexes: number[]) {
  const m = new TestMachine();
  m.open('/a', indexes[0] === 0 ? {} : { placement: [] });
  const { id } = m.at('/a');
  for (const index of indexes) if (index > 0) m.addChunk(id, index);
  const cut = (chunkCount: number) => m.truncate(id, chunkCount);
  const left = () => m.tables.handlesFrom(id, m.file('/a'), 0, 10_000).map(({ index }) => index);
  return { m, id, cut, left };
}

describe('taking chunks off the end of a file', () => {
  it('removes those from an index on, and only those', () => {
    const { m, cut, left } = fileWith(0, 1, 2, 3);
    const before = m.tables.counters.chunks;
    expect(cut(2)).toMatchObject({ ok: true });
    expect(left()).toEqual([0, 1]);
    expect(m.file('/a').chunkCount).toBe(2);
    expect(m.tables.counters.chunks).toBe(before - 2);
    expect(m.removed.length).toBe(2);
  });

  it('answers the file as it is then', () => {
    const { cut } = fileWith(0, 1, 2);
    const answer = cut(1);
    expect(answer.ok && decodeInode(answer.value.record)).toMatchObject({ chunkCount: 1, chunkBytes });
  });

  it('leaves a file that has no more chunks as it is', () => {
    const { m, cut, left } = fileWith(0, 1);
    const puts = m.store.puts;
    expect(cut(2)).toMatchObject({ ok: true });
    expect(cut(7)).toMatchObject({ ok: true });
    expect(left()).toEqual([0, 1]);
    expect(m.store.puts).toBe(puts);
  });

  it('empties it', () => {
    const { m, cut, left } = fileWith(0, 1, 2);
    cut(0);
    expect(left()).toEqual([]);
    expect(m.file('/a')).toMatchObject({ chunkCount: 0, firstHandle: 0 });
  });

  it('looks at no more of what stays than at what goes', () => {
    const { m, cut, left } = fileWith(...Array.from({ length: 1000 }, (_, index) => index));
    const { scanned } = m.store;
    cut(970);
    expect(m.store.scanned - scanned).toBeLessThan(100);
    expect(left()).toEqual(Array.from({ length: 970 }, (_, index) => index));
  });

  it('keeps no hole at its new end', () => {
    const { m, cut, left } = fileWith(0, 1, 5, 9);
    cut(8);
    expect(m.file('/a').chunkCount).toBe(6);
    cut(5);
    expect(left()).toEqual([0, 1]);
    expect(m.file('/a').chunkCount).toBe(2);
    const other = fileWith(4);
    other.cut(3);
    expect(other.m.file('/a').chunkCount).toBe(0);
  });

  it('steps over a hole of any size at its new end', () => {
    const far = Math.floor(Number.MAX_SAFE_INTEGER / chunkBytes) - 1;
    const { m, cut, left } = fileWith(0, 1, 700, far);
    expect(cut(far - 1)).toMatchObject({ ok: true });
    expect(m.file('/a').chunkCount).toBe(701);
    cut(700);
    expect(left()).toEqual([0, 1]);
    const other = fileWith(0, far);
    other.cut(far);
    expect(other.m.file('/a').chunkCount).toBe(1);
    const hollow = fileWith(far);
    hollow.cut(far);
    expect(hollow.m.file('/a').chunkCount).toBe(0);
  });

  it.each([
    [60, 2],
    [60, 58],
    [60, 41],
    [60, 1],
  ])('of %i chunks leaves %i, and what goes is collected in bounded steps', (chunks, keep) => {
    const { m, id, cut, left } = fileWith(...Array(chunks).keys());
    cut(keep);
    const kept = [...Array(keep).keys()];
    expect(left()).toEqual(kept);
    while ((m.reap(10) as { value: { more: boolean } }).value.more);
    expect(left()).toEqual(kept);
    expect(m.removed.length).toBe(chunks - keep);
    expect(m.tables.counters.chunks).toBe(keep);
    m.addChunk(id, keep);
    expect(left()).toEqual([...kept, keep]);
    m.remove('/a');
    while ((m.reap(10) as { value: { more: boolean } }).value.more);
    expect(m.tables.counters.chunks).toBe(0);
  });

  it('has what waits to be collected granted to nobody, though its lease is out: it would be written in vain', () => {
    const { m, cut } = fileWith(...Array(40).keys());
    cut(2);
    const [handle] = m.tables.listFrom(m.tables.firstDetached()!.id, 1).map((listed) => listed.handle);
    const { version, sealed, servers } = m.chunk(handle!);
    expect(sealed).toBe(false);
    expect(m.grant(handle!, version, [...servers])).toMatchObject({ ok: false, code: 'STALE_HANDLE' });
    expect(m.grant(m.file('/a').firstHandle, 1, [...servers])).toMatchObject({ ok: true });
  });

  it('of what is gone, or of a directory, is refused', () => {
    const { m, id, cut } = fileWith(0);
    m.remove('/a');
    expect(cut(0)).toMatchObject({ ok: false, code: 'STALE_HANDLE' });
    expect(m.truncate(1 as typeof id, 0)).toMatchObject({ ok: false, code: 'IS_A_DIRECTORY' });
  });
});
