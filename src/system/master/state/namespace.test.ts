import { describe, expect, it } from 'vitest';
import { toInodeId } from '../../../core/base/brand.ts';
import { codeOf, must, servers, TestMachine } from './machine.test-support.ts';

describe('opening for writing', () => {
  it('makes a file with its first chunk in one command', () => {
    const m = new TestMachine();
    const { created, grant, inode } = must(m.open('/a'));
    expect(created).toBe(true);
    expect(grant).toEqual({ handle: 1, version: 1, servers: [1, 2, 3] });
    expect(m.at('/a').id).toBe(inode);
    expect(m.chunk(1)).toEqual({ inode, index: 0, version: 1, sealed: false, length: 0, servers: [1, 2, 3], refs: 1 });
    expect(m.at('/').inode).toMatchObject({ kind: 'directory', entries: 1, modifiedAt: m.now });
    expect(m.tables.counters).toMatchObject({ files: 1, directories: 1, chunks: 1 });
  });

  it('writes at most five records', () => {
    const m = new TestMachine();
    const before = m.store.puts;
    m.open('/a');
    expect(m.store.puts - before).toBeLessThanOrEqual(5);
  });

  it('takes settings from the directory unless asked otherwise', () => {
    const m = new TestMachine();
    m.open('/plain', { placement: [] });
    m.open('/own', { placement: [], replication: 2, durability: 'disk', chunkBytes: 65536 });
    expect(m.file('/plain')).toMatchObject({ replication: 3, durability: 'memory', chunkBytes: 1024 * 1024 });
    expect(m.file('/own')).toMatchObject({ replication: 2, durability: 'disk', chunkBytes: 65536 });
  });

  it.each([
    ['no replicas', { replication: 0 }],
    ['too many replicas', { replication: 17 }],
    ['chunks of no size', { chunkBytes: 0 }],
    ['chunks that are not whole blocks', { chunkBytes: 65537 }],
  ])('refuses %s and changes nothing', (_, options) => {
    const m = new TestMachine();
    expect(codeOf(m.open('/dir/a', { parents: true, ...options }))).toBe('INVALID_ARGUMENT');
    expect(m.names('/')).toEqual([]);
  });

  it('finds an existing file, with its chunks as they are', () => {
    const m = new TestMachine();
    m.open('/a');
    const again = must(m.open('/a'));
    expect(again).toMatchObject({ created: false, grant: undefined });
    expect(m.tables.counters.chunks).toBe(1);
    expect(must(m.open('/a', { create: 'never' })).created).toBe(false);
  });

  it('makes the first chunk of an existing empty file', () => {
    const m = new TestMachine();
    m.open('/a', { placement: [] });
    expect(must(m.open('/a')).grant).toMatchObject({ handle: 1, version: 1 });
  });

  it('refuses to create exclusively what exists', () => {
    const m = new TestMachine();
    m.open('/a');
    m.mkdir('/d');
    expect(codeOf(m.open('/a', { create: 'exclusive' }))).toBe('EXISTS');
    expect(codeOf(m.open('/d', { create: 'exclusive' }))).toBe('IS_A_DIRECTORY');
  });

  it('does not make what it was not asked to make', () => {
    const m = new TestMachine();
    expect(codeOf(m.open('/a', { create: 'never' }))).toBe('NOT_FOUND');
    expect(codeOf(m.open('/d/a', { create: 'never', parents: true }))).toBe('NOT_FOUND');
    expect(codeOf(m.open('/d/a'))).toBe('NOT_FOUND');
    expect(m.names('/')).toEqual([]);
  });

  it('makes missing parents when asked to', () => {
    const m = new TestMachine();
    must(m.open('/x/y/z', { parents: true }));
    expect(m.names('/x/y')).toEqual(['z']);
    expect(m.tables.counters).toMatchObject({ files: 1, directories: 3 });
  });

  it('refuses directories, and paths through files', () => {
    const m = new TestMachine();
    m.open('/a');
    expect(codeOf(m.open('/'))).toBe('IS_A_DIRECTORY');
    expect(codeOf(m.open('/a/b'))).toBe('NOT_A_DIRECTORY');
    expect(codeOf(m.open('/a/b/c', { parents: true }))).toBe('NOT_A_DIRECTORY');
  });

  it('empties a short file at once and tells which chunks are gone', () => {
    const m = new TestMachine();
    const { inode } = must(m.open('/a'));
    m.addChunk(inode, 1);
    m.now += 5;
    const emptied = must(m.open('/a', { truncate: true }));
    expect(emptied.grant).toMatchObject({ handle: 3, version: 1 });
    expect(m.file('/a')).toMatchObject({ chunkCount: 1, firstHandle: 3, modifiedAt: m.now });
    expect(m.removed).toEqual([1, 2]);
    expect(m.tables.counters.chunks).toBe(1);
  });

  it('empties a long file in one step and collects its chunks afterwards, those that are made meanwhile stay', () => {
    const m = new TestMachine();
    const { inode } = must(m.open('/a'));
    for (let index = 1; index < 100; index++) m.addChunk(inode, index);
    const before = m.store.puts;
    m.open('/a', { truncate: true });
    expect(m.store.puts - before).toBeLessThanOrEqual(5);
    const second = must(m.addChunk(inode, 1));
    while (must(m.reap(30)).more);
    expect(m.removed.length).toBe(100);
    expect(m.tables.counters.chunks).toBe(2);
    expect(m.tables.handlesFrom(inode, m.file('/a'), 0, 10).map(({ handle }) => handle)).toEqual([101, second.handle]);
  });
});

describe('making directories', () => {
  it('makes one, or the whole way with parents', () => {
    const m = new TestMachine();
    expect(codeOf(m.mkdir('/a/b'))).toBe('NOT_FOUND');
    must(m.mkdir('/a/b', true));
    expect(m.names('/a')).toEqual(['b']);
    expect(m.at('/a').inode).toMatchObject({ entries: 1 });
  });

  it('refuses what exists, unless parents were asked for and it is a directory', () => {
    const m = new TestMachine();
    m.mkdir('/d');
    m.open('/f');
    expect(codeOf(m.mkdir('/d'))).toBe('EXISTS');
    expect(codeOf(m.mkdir('/'))).toBe('EXISTS');
    expect(codeOf(m.mkdir('/f', true))).toBe('EXISTS');
    expect(must(m.mkdir('/d', true)).inode).toBe(m.at('/d').id);
    expect(must(m.mkdir('/', true)).inode).toBe(toInodeId(1));
    expect(codeOf(m.mkdir('/f/x', true))).toBe('NOT_A_DIRECTORY');
  });
});

describe('removing', () => {
  it('removes a file with its chunks', () => {
    const m = new TestMachine();
    m.open('/a');
    const empty = new TestMachine();
    must(m.remove('/a'));
    expect(m.exists('/a')).toBe(false);
    expect(m.removed).toEqual([1]);
    expect(m.store.size).toBe(empty.store.size);
    expect(m.tables.counters).toMatchObject({ files: 0, chunks: 0 });
  });

  it('refuses the root, what is missing, and a directory that is not empty', () => {
    const m = new TestMachine();
    m.open('/d/a', { parents: true });
    expect(codeOf(m.remove('/'))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.remove('/', true))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.remove('/b'))).toBe('NOT_FOUND');
    expect(codeOf(m.remove('/d/a/b'))).toBe('NOT_A_DIRECTORY');
    expect(codeOf(m.remove('/d'))).toBe('NOT_EMPTY');
    must(m.remove('/d/a'));
    must(m.remove('/d'));
    expect(m.tables.counters.directories).toBe(1);
  });

  it('cuts a tree off in one step; its name is free at once', () => {
    const m = new TestMachine();
    for (let i = 0; i < 50; i++) m.open(`/d/e/f${i}`, { parents: true });
    const before = m.store.puts;
    must(m.remove('/d', true));
    expect(m.store.puts - before).toBeLessThanOrEqual(2);
    expect(m.names('/')).toEqual([]);
    must(m.mkdir('/d'));
    expect(m.names('/d')).toEqual([]);
  });

  it('collects a tree in bounded steps until nothing of it is left', () => {
    const m = new TestMachine();
    const untouched = new TestMachine();
    for (let i = 0; i < 30; i++) m.open(`/d/${i % 3}/${i % 5}/f${i}`, { parents: true });
    const { inode } = must(m.open('/d/long'));
    for (let index = 1; index < 40; index++) m.addChunk(inode, index);
    m.remove('/d', true);
    let steps = 0;
    let before = m.removed.length;
    while (must(m.reap(10)).more) {
      expect(m.removed.length - before).toBeLessThanOrEqual(10 + 16);
      before = m.removed.length;
      steps += 1;
    }
    expect(steps).toBeGreaterThan(5);
    expect(m.removed.length).toBe(70);
    expect(m.store.size).toBe(untouched.store.size);
    expect(m.tables.counters).toMatchObject({ files: 0, directories: 1, chunks: 0 });
  });

  it('reaps nothing when nothing is detached', () => {
    const m = new TestMachine();
    m.open('/a');
    const hash = m.store.hash();
    expect(must(m.reap(1000)).more).toBe(false);
    expect(m.store.hash()).toBe(hash);
  });
});

describe('renaming', () => {
  it('moves a directory with all below it by changing entries only', () => {
    const m = new TestMachine();
    for (let i = 0; i < 50; i++) m.open(`/a/b/f${i}`, { parents: true });
    m.mkdir('/c');
    const inode = m.at('/a/b').id;
    const before = m.store.puts;
    must(m.rename('/a/b', '/c/d'));
    expect(m.store.puts - before).toBeLessThanOrEqual(4);
    expect(m.at('/c/d').id).toBe(inode);
    expect(m.exists('/c/d/f49')).toBe(true);
    expect(m.at('/a').inode).toMatchObject({ entries: 0 });
    expect(m.at('/c').inode).toMatchObject({ entries: 1 });
  });

  it('refuses to move a directory into itself or below itself', () => {
    const m = new TestMachine();
    m.mkdir('/a/b/c', true);
    expect(codeOf(m.rename('/a', '/a/b'))).toBe('INTO_ITSELF');
    expect(codeOf(m.rename('/a', '/a/b/c/d'))).toBe('INTO_ITSELF');
    expect(codeOf(m.rename('/a', '/a/x', true))).toBe('INTO_ITSELF');
    must(m.rename('/a', '/a2'));
    expect(codeOf(m.rename('/a2/b', '/a2/b/c/x'))).toBe('INTO_ITSELF');
  });

  it('cannot make a cycle by two moves that each look harmless', () => {
    const m = new TestMachine();
    m.mkdir('/a');
    m.mkdir('/b');
    must(m.rename('/a', '/b/a'));
    expect(codeOf(m.rename('/b', '/b/a/b'))).toBe('INTO_ITSELF');
    expect(codeOf(m.rename('/b', '/a/b'))).toBe('NOT_FOUND');
    expect(m.names('/')).toEqual(['b']);
  });

  it('is refused where something is, unless it may replace it', () => {
    const m = new TestMachine();
    m.open('/a');
    m.open('/b');
    expect(codeOf(m.rename('/a', '/b'))).toBe('EXISTS');
    must(m.rename('/a', '/b', true));
    expect(m.names('/')).toEqual(['b']);
    expect(m.file('/b').firstHandle).toBe(1);
    expect(m.removed).toEqual([2]);
    expect(m.at('/').inode).toMatchObject({ entries: 1 });
  });

  it('replaces as rename(2) does: like by like, and directories only when empty', () => {
    const m = new TestMachine();
    m.open('/f');
    m.open('/full/x', { parents: true });
    m.mkdir('/empty');
    m.mkdir('/d');
    expect(codeOf(m.rename('/f', '/d', true))).toBe('IS_A_DIRECTORY');
    expect(codeOf(m.rename('/d', '/f', true))).toBe('NOT_A_DIRECTORY');
    expect(codeOf(m.rename('/d', '/full', true))).toBe('NOT_EMPTY');
    expect(codeOf(m.rename('/full/x', '/full', true))).toBe('IS_A_DIRECTORY');
    expect(codeOf(m.rename('/full', '/', true))).toBe('NOT_EMPTY');
    must(m.rename('/d', '/empty', true));
    expect(m.names('/')).toEqual(['empty', 'f', 'full']);
    expect(m.tables.counters.directories).toBe(3);
  });

  it('of something to itself changes nothing', () => {
    const m = new TestMachine();
    m.open('/a');
    const hash = m.store.hash();
    must(m.rename('/a', '/a', true));
    expect(codeOf(m.rename('/a', '/a'))).toBe('EXISTS');
    expect(m.store.hash()).toBe(hash);
  });

  it('refuses the root and what is missing', () => {
    const m = new TestMachine();
    m.open('/a');
    expect(codeOf(m.rename('/', '/x'))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.rename('/b', '/x'))).toBe('NOT_FOUND');
    expect(codeOf(m.rename('/a', '/x/y'))).toBe('NOT_FOUND');
    expect(codeOf(m.rename('/a', '/'))).toBe('EXISTS');
    expect(codeOf(m.rename('/a', '/a/b'))).toBe('NOT_A_DIRECTORY');
  });
});

describe('names and paths', () => {
  const long = 'é'.repeat(127);
  it.each([
    ['relative', 'a', 'INVALID_ARGUMENT'],
    ['empty', '', 'INVALID_ARGUMENT'],
    ['with NUL', '/a\0b', 'INVALID_NAME'],
    ['with a dot', '/./a', 'INVALID_NAME'],
    ['with two dots', '/a/..', 'INVALID_NAME'],
    ['with a name of 256 bytes', `/${long}ab`, 'NAME_TOO_LONG'],
    ['of more than 4096 bytes', `/${'ab/'.repeat(1366)}`, 'NAME_TOO_LONG'],
  ])('a path %s is refused', (_, path, code) => {
    const m = new TestMachine();
    expect(codeOf(m.open(path))).toBe(code);
    expect(codeOf(m.mkdir(path))).toBe(code);
    expect(codeOf(m.remove(path))).toBe(code);
    expect(codeOf(m.rename(path, '/x'))).toBe(code);
    m.open('/f');
    expect(codeOf(m.rename('/f', path))).toBe(code);
    expect(m.names('/')).toEqual(['f']);
  });

  it('a name of 255 bytes, one with dots in it and any letters are fine', () => {
    const m = new TestMachine();
    for (const name of [`${long}a`, '...', '..a', 'a b', '日本語', '🪨', 'a\nb']) {
      must(m.open(`/${name}`));
      expect(m.exists(`/${name}`)).toBe(true);
    }
    expect(new Set(m.names('/'))).toEqual(new Set([`${long}a`, '...', '..a', 'a b', '日本語', '🪨', 'a\nb']));
  });

  it('repeated and trailing slashes mean nothing', () => {
    const m = new TestMachine();
    m.mkdir('//a//b/', true);
    expect(m.names('/a/')).toEqual(['b']);
  });

  it('entries come in byte order of their UTF-8, page by page', () => {
    const m = new TestMachine();
    const names = ['a', 'b', 'Z', 'é', 'z', '￿', '🪨', 'ab', 'a!'];
    for (const name of names) m.open(`/${name}`);
    const expected = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(m.names('/')).toEqual(expected);
    const paged: string[] = [];
    for (let page = m.names('/', '', 2); page.length > 0; page = m.names('/', page.at(-1), 2)) paged.push(...page);
    expect(paged).toEqual(expected);
  });
});

describe('the machine', () => {
  it('refuses everything before the cluster is initialised', () => {
    const m = new TestMachine(false);
    expect(codeOf(m.mkdir('/a'))).toBe('UNAVAILABLE');
    expect(codeOf(m.open('/a'))).toBe('UNAVAILABLE');
    expect(m.store.size).toBe(0);
  });

  it('is initialised once: again by the same cluster changes nothing, by another is refused', () => {
    const m = new TestMachine();
    const hash = m.store.hash();
    const again = {
      kind: 'initialise',
      clusterId: 'test',
      replication: 1,
      durability: 'disk',
      chunkBytes: 65536,
      mode: 'async',
      minReplicas: 1,
    } as const;
    expect(codeOf(m.done(again))).toBe('ok');
    expect(codeOf(m.done({ ...again, clusterId: 'other' }))).toBe('WRONG_CLUSTER');
    expect(m.store.hash()).toBe(hash);
  });

  it('answers bytes that are no command with a refusal', () => {
    const m = new TestMachine();
    const hash = m.store.hash();
    for (const bytes of [[], [0], [99, 1], [2, 255, 255], [17, 1]]) m.applyBytes(Uint8Array.from(bytes));
    expect(m.store.hash()).toBe(hash);
  });

  it('goes on with the same counters and servers after its store was opened again', () => {
    const m = new TestMachine();
    m.open('/a');
    m.machine.save();
    const before = { ...m.tables.counters };
    m.machine.reset(m.store);
    expect(m.tables.counters).toEqual(before);
    expect([...m.tables.servers.keys()]).toEqual(servers(1, 2, 3, 4));
    expect(must(m.open('/b')).grant?.handle).toBe(2);
  });

  it('refuses a store of another format', () => {
    const m = new TestMachine();
    m.store.put('a', Uint8Array.of(3, 0, 7));
    expect(() => m.machine.reset(m.store)).toThrow(/format 3/);
  });
});
