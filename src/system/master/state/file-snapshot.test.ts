import { describe, expect, it } from 'vitest';
import type { ChunkHandle } from '../../../core/base/brand.ts';
import { toChunkIndex } from '../../../core/base/brand.ts';
import { copiesOf } from './copy-links.ts';
import { codeOf, must, servers, TestMachine } from './machine.test-support.ts';
import { Unflushed } from './map-store.test-support.ts';
import { sharersOf } from './sharing.ts';

/** /a with `files` files of one sealed chunk each, in directories of ten. */
function withTree(files: number): TestMachine {
  const m = new TestMachine();
  for (let i = 0; i < files; i++) {
    const { grant } = must(m.open(`/a/d${Math.floor(i / 10)}/f${i}`, { parents: true }));
    must(m.report(grant!.handle, 1, 1000 + i, true));
  }
  return m;
}
/** /long with so many sealed chunks of ten bytes; their handles are 1, 2, … */
function longFile(chunks: number): TestMachine {
  const m = new TestMachine();
  const { inode } = must(m.open('/long'));
  for (let index = 1; index < chunks; index++) must(m.addChunk(inode, index));
  for (let handle = 1; handle <= chunks; handle++) must(m.report(handle, 1, 10, true));
  return m;
}
function handles(m: TestMachine, path: string): ChunkHandle[] {
  const { id } = m.at(path);
  return m.tables.handlesFrom(id, m.file(path), 0, 1000).map(({ handle }) => handle);
}

describe('a file snapshot', () => {
  it('writes a bounded number of records however much there is below, and is there at once', () => {
    const m = withTree(1000);
    const before = m.store.puts;
    must(m.fileSnapshot('/a', '/b'));
    expect(m.store.puts - before).toBeLessThanOrEqual(5);
    expect(m.at('/b').inode).toMatchObject({ kind: 'directory', entries: 100, name: 'b' });
    expect(m.names('/')).toEqual(['a', 'b']);
  });

  it('is laid out in steps of bounded size, after which it has inodes of its own and the chunks of its source', () => {
    const m = withTree(200);
    must(m.fileSnapshot('/a', '/b'));
    let steps = 0;
    for (let more = true; more; steps++) {
      const before = m.store.puts;
      ({ more } = must(m.layOut(20)));
      expect(m.store.puts - before).toBeLessThan(200);
    }
    expect(steps).toBeGreaterThan(10);
    expect(m.names('/b')).toEqual(m.names('/a'));
    expect(handles(m, '/b/d7/f77')).toEqual(handles(m, '/a/d7/f77'));
    expect(m.at('/b/d7/f77').id).not.toBe(m.at('/a/d7/f77').id);
    expect(m.chunk(handles(m, '/a/d7/f77')[0]!)).toMatchObject({ refs: 2, length: 1077 });
    expect(m.tables.counters).toMatchObject({ files: 400, chunks: 200, copies: 0 });
  });

  it('is of one moment: what is made, removed, renamed and written in the source afterwards is not in it', () => {
    const m = withTree(30);
    must(m.fileSnapshot('/a', '/b'));
    const [old] = handles(m, '/a/d2/f20');
    must(m.open('/a/d0/new'));
    must(m.remove('/a/d0/f1'));
    must(m.rename('/a/d1', '/elsewhere'));
    must(m.remove('/elsewhere/f13'));
    const mine = m.split('/a/d2/f20', 0);
    must(m.addChunk(m.at('/a/d2/f21').id, 1));
    must(m.set('/a/d2/f22', { replication: 1 }));
    m.complete();
    expect(m.names('/b')).toEqual(['d0', 'd1', 'd2']);
    expect(m.names('/b/d0')).toContain('f1');
    expect(m.names('/b/d0')).not.toContain('new');
    expect(m.exists('/b/d1/f13')).toBe(true);
    expect(handles(m, '/b/d2/f20')).toEqual([old]);
    expect(handles(m, '/a/d2/f20')).toEqual([mine]);
    expect(m.file('/b/d2/f21').chunkCount).toBe(1);
    expect(m.file('/b/d2/f22').replication).toBe(3);
  });

  it('can be written, and its source stays as it was', () => {
    const m = withTree(30);
    must(m.fileSnapshot('/a', '/b'));
    const [old] = handles(m, '/a/d2/f20');
    must(m.open('/b/d0/new'));
    must(m.remove('/b/d1', true));
    const mine = m.split('/b/d2/f20', 0);
    m.complete();
    expect(m.names('/a')).toEqual(['d0', 'd1', 'd2']);
    expect(m.names('/b')).toEqual(['d0', 'd2']);
    expect(m.exists('/a/d0/new')).toBe(false);
    expect(handles(m, '/b/d2/f20')).toEqual([mine]);
    expect(handles(m, '/a/d2/f20')).toEqual([old]);
    expect(m.chunk(mine)).toMatchObject({ version: 1, sealed: true, length: 1020, refs: 1 });
    expect(m.chunk(old!)).toMatchObject({ version: 2, length: 1020, refs: 1 });
  });

  it('outlives its source, and its source outlives it, whatever of it was laid out by then', () => {
    for (const steps of [0, 1, 3, 100]) {
      for (const removed of ['/a', '/b']) {
        const m = withTree(30);
        must(m.fileSnapshot('/a', '/b'));
        for (let step = 0; step < steps; step++) must(m.layOut(5));
        must(m.remove(removed, true));
        m.complete(7);
        const left = removed === '/a' ? '/b' : '/a';
        expect(m.removed).toEqual([]);
        expect(m.names('/')).toEqual([left.slice(1)]);
        expect(m.names(`${left}/d2`).length).toBe(10);
        expect(m.chunk(handles(m, `${left}/d2/f20`)[0]!)).toMatchObject({ refs: 1, inode: m.at(`${left}/d2/f20`).id });
        expect(m.tables.counters).toMatchObject({ files: 30, directories: 5, chunks: 30, copies: 0 });
      }
    }
  });

  it('that is cut off is given nothing any more, however little of it is collected at a time', () => {
    const m = withTree(30);
    must(m.fileSnapshot('/a', '/b'));
    must(m.open('/a/d0/new'));
    must(m.open('/a/d1/new'));
    must(m.remove('/b', true));
    while (must(m.reap(1)).more) must(m.layOut(1));
    m.complete();
    expect([...m.tables.chunks(0)].every(([, { refs }]) => refs === 1)).toBe(true);
    expect(m.tables.counters).toMatchObject({ files: 32, directories: 5, copies: 0 });
  });

  it('of a snapshot, and several of one source, are of their own moments', () => {
    const m = withTree(20);
    must(m.fileSnapshot('/a', '/b'));
    must(m.remove('/a/d0/f0'));
    must(m.fileSnapshot('/a', '/c'));
    must(m.remove('/b/d0/f1'));
    must(m.fileSnapshot('/b', '/d'));
    must(m.remove('/b/d1', true));
    m.complete(3);
    const count = (path: string) => m.names(path).length;
    expect(count('/a/d0')).toBe(9);
    expect(count('/b/d0')).toBe(9);
    expect(m.names('/d/d0')).not.toContain('f1');
    expect(m.names('/d/d0')).toContain('f0');
    expect(count('/c/d0')).toBe(9);
    expect(count('/d/d1')).toBe(10);
    expect(m.chunk(handles(m, '/a/d1/f15')[0]!).refs).toBe(3);
  });

  it('of a long file shares its list of chunks by and by', () => {
    const m = new TestMachine();
    const { inode } = must(m.open('/long'));
    for (let index = 1; index < 300; index++) must(m.addChunk(inode, index));
    for (let handle = 1; handle <= 300; handle++) must(m.report(handle, 1, 10, true));
    const before = m.store.puts;
    must(m.fileSnapshot('/long', '/copy'));
    expect(m.store.puts - before).toBeLessThanOrEqual(8);
    expect(handles(m, '/copy')).toEqual(handles(m, '/long'));
    must(m.layOut(50));
    const mine = m.split('/long', 200);
    must(m.addChunk(inode, 300));
    expect(handles(m, '/copy')[200]).toBe(201);
    expect(handles(m, '/long')[200]).toBe(mine);
    must(m.open('/long', { truncate: true }));
    m.complete(17);
    expect(handles(m, '/copy')).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect([...m.tables.chunks(0)].every(([, { refs }]) => refs === 1)).toBe(true);
    expect(m.tables.counters.chunks).toBe(300 + 1); // and the one that the emptied file got
  });

  it('of a long file has its chunks read page by page, though its source has some that it lacks', () => {
    const m = new TestMachine();
    const { inode } = must(m.open('/long'));
    const holes = [3, 5];
    for (let index = 1; index < 60; index++) if (!holes.includes(index)) must(m.addChunk(inode, index));
    for (let handle = 1; handle <= 58; handle++) must(m.report(handle, 1, 10, true));
    must(m.fileSnapshot('/long', '/copy'));
    for (const index of holes) must(m.addChunk(inode, index));
    const { id } = m.at('/copy');
    must(m.done({ kind: 'settleFile', inode: id, index: toChunkIndex(35) }));
    const found: number[] = [];
    for (let more = true; more; ) {
      const page = m.tables.handlesFrom(id, m.file('/copy'), (found.at(-1) ?? -1) + 1, 20);
      found.push(...page.map(({ index }) => index));
      more = page.length === 20;
    }
    expect(found).toEqual([...Array(60).keys()].filter((index) => !holes.includes(index)));
  });

  it('is laid out and listed without going through what has ended before, though the store is never flushed', () => {
    const m = new TestMachine(true, new Unflushed());
    for (let i = 0; i < 300; i++) must(m.open(`/a/d${i}/f`, { parents: true, placement: [] }));
    for (let i = 0; i < 600; i++) must(m.open(`/a/flat/f${1000 + i}`, { parents: true, placement: [] }));
    must(m.fileSnapshot('/a', '/b'));
    must(m.done({ kind: 'settlePath', path: '/b/flat/f1000' }));
    for (let after = 'f1000'; after < 'f1600'; after = `f${Number(after.slice(1)) + 50}`)
      must(m.layOutNames('/b/flat', after, 50));
    for (let more = true; more; ) {
      const before = m.store.scanned;
      ({ more } = must(m.layOut(30)));
      expect(m.store.scanned - before).toBeLessThan(100);
    }
    expect(m.names('/b/flat')).toEqual(m.names('/a/flat'));
    expect(m.exists('/b/d299/f')).toBe(true);
    expect([...m.store.scan('x', '{')]).toEqual([]);
  });

  it('of a long file that is emptied or removed keeps its chunks from a lease that was under way: what is written is not in the copy', () => {
    for (const cutOff of ['emptied', 'removed'] as const) {
      const m = longFile(40);
      must(m.fileSnapshot('/long', '/copy'));
      must(cutOff === 'emptied' ? m.truncate(m.at('/long').id, 0) : m.remove('/long'));
      expect(codeOf(m.grant(31, 1, servers(1, 2, 3)))).toBe('STALE_HANDLE');
      m.complete();
      expect(handles(m, '/copy')).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
      for (const [, chunk] of m.tables.chunks(0)) expect(chunk).toMatchObject({ version: 1, sealed: true });
    }
  });

  it('of a long file is refused beyond eight that are not laid out, also when the file was emptied before', () => {
    const m = longFile(20);
    must(m.truncate(m.at('/long').id, 0));
    const { id } = m.at('/long');
    for (let index = 0; index < 20; index++) {
      const { handle } = must(m.addChunk(id, index));
      must(m.report(handle, 1, 10, true));
    }
    for (let i = 0; i < 8; i++) must(m.fileSnapshot('/long', `/copy${i}`));
    expect(codeOf(m.fileSnapshot('/long', '/ninth'))).toBe('BUSY');
    m.complete();
    must(m.fileSnapshot('/long', '/ninth'));
  });

  it('has what is made in it checked against the settings of the directory it will be in, laid out or not', () => {
    const m = new TestMachine();
    must(m.mkdir('/a', false, { replication: 2 }));
    must(m.mkdir('/a/wide', false, { replication: 4 }));
    must(m.mkdir('/a/narrow', false, { replication: 1 }));
    must(m.fileSnapshot('/a', '/b'));
    must(m.open('/b/wide/f', { minReplicas: 4 }));
    expect(codeOf(m.open('/b/narrow/f', { minReplicas: 2 }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.mkdir('/b/narrow/d', false, { minReplicas: 2 }))).toBe('INVALID_ARGUMENT');
  });

  it('is refused into itself, over what exists, of nothing, and beyond eight that are not laid out', () => {
    const m = withTree(20);
    expect(codeOf(m.fileSnapshot('/a', '/a/copy'))).toBe('INTO_ITSELF');
    expect(codeOf(m.fileSnapshot('/a', '/a/d0/copy'))).toBe('INTO_ITSELF');
    expect(codeOf(m.fileSnapshot('/', '/copy'))).toBe('INTO_ITSELF');
    expect(codeOf(m.fileSnapshot('/a', '/a/d0'))).toBe('EXISTS');
    expect(codeOf(m.fileSnapshot('/a/d0/f0', '/'))).toBe('EXISTS');
    expect(codeOf(m.fileSnapshot('/missing', '/copy'))).toBe('NOT_FOUND');
    expect(codeOf(m.fileSnapshot('/a', '/no/copy'))).toBe('NOT_FOUND');
    for (let i = 0; i < 8; i++) must(m.fileSnapshot('/a', `/copy${i}`));
    expect(codeOf(m.fileSnapshot('/a', '/ninth'))).toBe('BUSY');
    m.complete();
    must(m.fileSnapshot('/a', '/ninth'));
  });

  it('gives a shared chunk no lease: it must be split first', () => {
    const m = withTree(1);
    must(m.fileSnapshot('/a', '/b'));
    const [handle] = handles(m, '/a/d0/f0');
    expect(codeOf(m.grant(handle!, 1, servers(1, 2)))).toBe('BUSY');
    const mine = m.split('/a/d0/f0', 0);
    expect(must(m.grant(mine, 1, servers(1, 2))).version).toBe(2);
    m.complete();
    expect(must(m.grant(handle!, 2, servers(3, 1))).version).toBe(3);
  });

  it('is not split by what others have changed meanwhile', () => {
    const m = withTree(1);
    must(m.fileSnapshot('/a', '/b'));
    m.complete();
    const { id } = m.at('/a/d0/f0');
    const at = { inode: id, index: toChunkIndex(0), handle: handles(m, '/a/d0/f0')[0]!, version: m.chunk(1).version };
    const split = (changes: object) =>
      codeOf(m.done({ kind: 'splitChunk', ...at, into: at.handle, servers: servers(1), kept: servers(1), ...changes }));
    expect(split({})).toBe('INVALID_ARGUMENT');
    expect(split({ into: 99 as ChunkHandle })).toBe('INVALID_ARGUMENT');
    m.tables.counters.nextHandle = 50;
    expect(split({ into: 40 as ChunkHandle, servers: servers(4) })).toBe('STALE_VERSION');
    expect(split({ into: 40 as ChunkHandle, kept: [] })).toBe('INVALID_ARGUMENT');
    expect(split({ into: 40 as ChunkHandle })).toBe('ok');
    expect(split({ into: 41 as ChunkHandle })).toBe('STALE_HANDLE');
    expect(sharersOf(m.tables, at.handle, 10)).toEqual([]);
  });

  it('has its copies find each other while they are laid out, and not afterwards', () => {
    const m = withTree(20);
    must(m.fileSnapshot('/a', '/b'));
    expect(copiesOf(m.tables, m.at('/a').id)).toEqual([m.at('/b').id]);
    m.complete();
    expect(copiesOf(m.tables, m.at('/a').id)).toEqual([]);
    expect([...m.store.scan('x', '{')]).toEqual([]);
  });
});
