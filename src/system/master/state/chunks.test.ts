import { describe, expect, it } from 'vitest';
import { toAddress, toInodeId } from '../../../core/base/brand.ts';
import { codeOf, handleOf, must, servers, sid, TestMachine } from './machine.test-support.ts';

function withFile() {
  const m = new TestMachine();
  const { inode, grant } = must(m.open('/a'));
  return { m, inode, handle: handleOf(grant) };
}

describe('adding chunks', () => {
  it('appends the next chunk with its first grant', () => {
    const { m, inode } = withFile();
    m.now += 7;
    expect(must(m.addChunk(inode, 1, servers(2, 3, 4)))).toEqual({ handle: 2, version: 1, servers: [2, 3, 4] });
    expect(m.file('/a')).toMatchObject({ chunkCount: 2, modifiedAt: m.now });
    expect(m.tables.handleAt(inode, m.file('/a'), 1)).toBe(2);
  });

  it('costs the same however long the file is', () => {
    const { m, inode } = withFile();
    for (let index = 1; index < 3000; index++) m.addChunk(inode, index);
    const before = m.store.puts;
    m.addChunk(inode, 3000);
    expect(m.store.puts - before).toBe(4);
    expect(m.tables.handlesFrom(inode, m.file('/a'), 2998, 10).map(({ index }) => index)).toEqual([2998, 2999, 3000]);
  });

  it('may leave a hole, which can be filled later', () => {
    const { m, inode } = withFile();
    must(m.addChunk(inode, 300));
    expect(m.file('/a').chunkCount).toBe(301);
    expect(m.tables.handleAt(inode, m.file('/a'), 5)).toBeUndefined();
    must(m.addChunk(inode, 5));
    expect(m.tables.handlesFrom(inode, m.file('/a'), 0, 10).map(({ index }) => index)).toEqual([0, 5, 300]);
  });

  it('of an append makes one behind the last, and none where the file has been cut, or ends elsewhere', () => {
    const { m, inode, handle } = withFile();
    const { handle: second } = must(m.adjoinChunk(inode, 1, handle));
    expect(codeOf(m.adjoinChunk(inode, 1, handle))).toBe('EXISTS');
    expect(codeOf(m.adjoinChunk(inode, 2, handle))).toBe('CHUNK_CUT');
    expect(codeOf(m.adjoinChunk(inode, 3, second))).toBe('CHUNK_CUT');
    must(m.addChunk(inode, 4));
    expect(codeOf(m.adjoinChunk(inode, 2, second))).toBe('CHUNK_CUT');
    m.truncate(inode, 1);
    expect(codeOf(m.adjoinChunk(inode, 2, second))).toBe('CHUNK_CUT');
    expect(codeOf(m.adjoinChunk(inode, 0, handle))).toBe('EXISTS');
    m.truncate(inode, 0);
    must(m.addChunk(inode, 0));
    expect(codeOf(m.adjoinChunk(inode, 1, handle))).toBe('CHUNK_CUT');
    expect(m.file('/a').chunkCount).toBe(1);
    expect(codeOf(m.adjoinChunk(toInodeId(99), 1, handle))).toBe('STALE_HANDLE');
    expect(codeOf(m.adjoinChunk(toInodeId(1), 1, handle))).toBe('IS_A_DIRECTORY');
  });

  it('refuses a chunk that exists, a file that does not, a directory, and bad sets', () => {
    const { m, inode } = withFile();
    expect(codeOf(m.addChunk(inode, 0))).toBe('EXISTS');
    expect(codeOf(m.addChunk(toInodeId(99), 0))).toBe('STALE_HANDLE');
    expect(codeOf(m.addChunk(toInodeId(1), 0))).toBe('IS_A_DIRECTORY');
    expect(codeOf(m.addChunk(inode, 1, []))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.addChunk(inode, 1, servers(1, 1)))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.addChunk(inode, Number.MAX_SAFE_INTEGER - 1))).toBe('TOO_LARGE');
    expect(m.file('/a').chunkCount).toBe(1);
  });
});

describe('grants', () => {
  it('raise the version by one and open the chunk', () => {
    const { m, handle } = withFile();
    m.report(handle, 1, 100, true);
    expect(must(m.grant(handle, 1, servers(2, 1)))).toEqual({ handle, version: 2, servers: [2, 1] });
    expect(m.chunk(handle)).toMatchObject({ version: 2, sealed: false, length: 100, servers: [2, 1] });
  });

  it('are refused for another version: of two that race one wins', () => {
    const { m, handle } = withFile();
    must(m.grant(handle, 1, servers(2, 1)));
    expect(codeOf(m.grant(handle, 1, servers(3)))).toBe('STALE_VERSION');
    expect(codeOf(m.grant(handle, 3, servers(2)))).toBe('STALE_VERSION');
    expect(codeOf(m.grant(99, 1, servers(2)))).toBe('STALE_HANDLE');
  });

  it('never go to a server outside the set, nor to nobody', () => {
    const { m, handle } = withFile();
    expect(codeOf(m.grant(handle, 1, servers(1, 4)))).toBe('STALE_VERSION');
    expect(codeOf(m.grant(handle, 1, []))).toBe('INVALID_ARGUMENT');
    expect(m.chunk(handle).version).toBe(1);
  });
});

describe('lengths', () => {
  it('grow while the lease is open and are final when it is released', () => {
    const { m, handle } = withFile();
    m.now += 3;
    m.report(handle, 1, 10, false);
    expect(m.chunk(handle)).toMatchObject({ length: 10, sealed: false });
    expect(m.file('/a').modifiedAt).toBe(m.now);
    m.report(handle, 1, 5, false);
    expect(m.chunk(handle).length).toBe(10);
    m.report(handle, 1, 12, true);
    expect(m.chunk(handle)).toMatchObject({ length: 12, sealed: true });
    m.report(handle, 1, 99, false);
    expect(m.chunk(handle)).toMatchObject({ length: 12, sealed: true });
  });

  it('follow a cut while the lease is open', () => {
    const { m, handle } = withFile();
    m.report(handle, 1, 10, false);
    m.now += 3;
    m.cut(handle, 1, 12);
    expect(m.chunk(handle).length).toBe(10);
    m.cut(handle, 1, 4);
    expect(m.chunk(handle)).toMatchObject({ length: 4, sealed: false });
    expect(m.file('/a').modifiedAt).toBe(m.now);
    m.report(handle, 1, 6, true);
    m.cut(handle, 1, 2);
    expect(m.chunk(handle)).toMatchObject({ length: 6, sealed: true });
  });

  it('of another version or of a removed chunk are void', () => {
    const { m, handle } = withFile();
    m.report(handle, 1, 40, false);
    m.grant(handle, 1, servers(2, 1, 3));
    m.report(handle, 1, 50, true);
    m.cut(handle, 1, 10);
    expect(m.chunk(handle)).toMatchObject({ length: 40, sealed: false });
    m.remove('/a');
    expect(codeOf(m.report(handle, 2, 50, true))).toBe('ok');
    expect(codeOf(m.cut(handle, 2, 5))).toBe('ok');
  });
});

describe('changes of the in-sync set', () => {
  it('take a copy in, and the dead out, of a sealed chunk only', () => {
    const { m, handle } = withFile();
    expect(codeOf(m.addReplica(handle, 1, 4))).toBe('BUSY');
    m.report(handle, 1, 10, true);
    expect(codeOf(m.addReplica(handle, 2, 4))).toBe('STALE_VERSION');
    expect(codeOf(m.addReplica(99, 1, 4))).toBe('STALE_HANDLE');
    must(m.addReplica(handle, 1, 4, servers(3)));
    expect(m.chunk(handle)).toMatchObject({ version: 1, sealed: true, servers: [1, 2, 4] });
    must(m.addReplica(handle, 1, 4));
    expect(m.chunk(handle).servers).toEqual([1, 2, 4]);
  });

  it('never leave a chunk without a member', () => {
    const { m, handle } = withFile();
    m.report(handle, 1, 10, true);
    expect(codeOf(m.exclude(handle, 1, servers(1, 2, 3)))).toBe('UNAVAILABLE');
    must(m.exclude(handle, 1, servers(1, 3)));
    expect(m.chunk(handle).servers).toEqual([2]);
    expect(codeOf(m.exclude(handle, 1, servers(4)))).toBe('ok');
  });
});

describe('servers', () => {
  it('may register again under another address', () => {
    const m = new TestMachine();
    m.done({ kind: 'registerServer', server: sid(3), address: toAddress('new:1'), rack: 'r2' });
    expect(m.tables.server(sid(3))).toEqual({ address: 'new:1', rack: 'r2', draining: false });
    m.machine.reset(m.store);
    expect(m.tables.server(sid(3))).toEqual({ address: 'new:1', rack: 'r2', draining: false });
  });
});
