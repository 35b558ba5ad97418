import { describe, expect, it } from 'vitest';
import { codeOf, must, TestMachine } from './machine.test-support.ts';
import { trashed } from './trash.ts';

const paths = (m: TestMachine) => trashed(m.tables, '', 100).map(({ path }) => path);
const idOf = (m: TestMachine, path: string) =>
  trashed(m.tables, '', 100).findLast((item) => item.path === path)!.dirent.inode;

describe('the trash', () => {
  it('takes a file or a tree in one step, however much is below, and gives it back as it was', () => {
    const m = new TestMachine();
    for (let i = 0; i < 50; i++) must(m.open(`/a/d/f${i}`, { parents: true }));
    const { id } = m.at('/a/d');
    const before = m.store.puts;
    must(m.discard('/a/d', true));
    expect(m.store.puts - before).toBeLessThanOrEqual(5);
    expect(m.exists('/a/d')).toBe(false);
    expect(m.at('/a').inode).toMatchObject({ entries: 0 });
    expect(m.removed).toEqual([]);
    expect(paths(m)).toEqual(['/a/d']);
    expect(must(m.restore(idOf(m, '/a/d')))).toEqual({ path: '/a/d' });
    expect(m.at('/a/d').id).toBe(id);
    expect(m.names('/a/d')).toHaveLength(50);
    expect(paths(m)).toEqual([]);
    expect(m.at('/a').inode).toMatchObject({ entries: 1 });
  });

  it('gives back to another place, and makes the directories on the way that are gone', () => {
    const m = new TestMachine();
    must(m.open('/a/b/f', { parents: true }));
    must(m.discard('/a/b/f'));
    must(m.remove('/a', true));
    must(m.restore(idOf(m, '/a/b/f')));
    expect(m.exists('/a/b/f')).toBe(true);
    must(m.discard('/a/b/f'));
    must(m.restore(idOf(m, '/a/b/f'), '/c/d'));
    expect(m.exists('/c/d')).toBe(true);
    expect(m.exists('/a/b/f')).toBe(false);
  });

  it('knows several things that were at one place, and gives none back over what is there', () => {
    const m = new TestMachine();
    const made: number[] = [];
    for (let time = 0; time < 3; time++) {
      m.now += 1000;
      made.push(must(m.open('/f')).inode);
      must(m.discard('/f'));
    }
    expect(trashed(m.tables, '', 10).map(({ dirent }) => dirent.inode as number)).toEqual(made);
    must(m.open('/f'));
    expect(codeOf(m.restore(idOf(m, '/f')))).toBe('EXISTS');
    expect(codeOf(m.restore(idOf(m, '/f'), '/'))).toBe('EXISTS');
    expect(codeOf(m.restore(idOf(m, '/f'), '/f/g'))).toBe('NOT_A_DIRECTORY');
    expect(codeOf(m.restore(m.at('/').id))).toBe('NOT_FOUND');
    must(m.restore(idOf(m, '/f'), '/g'));
    expect(m.at('/g').id as number).toBe(made[2]);
  });

  it('is emptied by age, by name, or wholly, and then the chunks go', () => {
    const m = new TestMachine();
    for (let i = 0; i < 5; i++) {
      m.now += 1000;
      must(m.open(`/d${i}/f`, { parents: true }));
      must(m.discard(`/d${i}`, true));
    }
    const { now } = m;
    expect(must(m.emptyTrash({ before: now - 2000 }))).toEqual({ removed: 2, more: false });
    expect(paths(m)).toEqual(['/d2', '/d3', '/d4']);
    expect(must(m.emptyTrash({ inode: idOf(m, '/d3') })).removed).toBe(1);
    expect(codeOf(m.emptyTrash({ inode: m.at('/').id }))).toBe('NOT_FOUND');
    expect(must(m.emptyTrash({ before: now + 1, limit: 1 }))).toEqual({ removed: 1, more: true });
    expect(must(m.emptyTrash({ before: now + 1 }))).toEqual({ removed: 1, more: false });
    m.complete();
    expect(m.removed).toHaveLength(5);
    expect(m.tables.counters).toMatchObject({ files: 0, directories: 1, chunks: 0 });
    expect([...m.store.scan('g', 'h')]).toEqual([]);
  });

  it('refuses what cannot be removed, as rm does', () => {
    const m = new TestMachine();
    must(m.open('/d/f', { parents: true }));
    expect(codeOf(m.discard('/'))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.discard('/none'))).toBe('NOT_FOUND');
    expect(codeOf(m.discard('/d'))).toBe('NOT_EMPTY');
  });

  it('keeps what a snapshot is still to get, and snapshots keep what is thrown away', () => {
    const m = new TestMachine();
    for (let i = 0; i < 10; i++) must(m.report(must(m.open(`/a/f${i}`, { parents: true })).grant!.handle, 1, 5, true));
    must(m.fileSnapshot('/a', '/b'));
    must(m.discard('/a', true));
    must(m.discard('/b/f3'));
    must(m.emptyTrash({ before: m.now + 1 }));
    m.complete(3);
    expect(m.names('/b')).toHaveLength(9);
    expect(m.removed).toHaveLength(1);
    expect(m.tables.counters).toMatchObject({ files: 9, chunks: 9, copies: 0 });
  });
});
