import { describe, expect, it } from 'vitest';
import { directoriesKept } from './directory-cache.ts';
import { must, TestMachine } from './machine.test-support.ts';
import { lookup } from './resolve.ts';
import { Tables } from './tables.ts';

const entriesIn = (tables: Tables, path: string) => {
  const inode = tables.inode(must(lookup(tables, path)).inode);
  return inode?.kind === 'directory' ? inode.entries : undefined;
};

describe('directories in use', () => {
  it('are written once for a thousand files made in them, when the machine saves', () => {
    const machine = new TestMachine();
    must(machine.mkdir('/d'));
    const before = machine.store.puts;
    for (let i = 0; i < 1000; i++) must(machine.open(`/d/${i}`, { placement: [] }));
    expect(machine.store.puts - before).toBe(2 * 1000);
    expect(entriesIn(new Tables(machine.store), '/d')).toBe(0);
    machine.machine.save();
    expect(entriesIn(new Tables(machine.store), '/d')).toBe(1000);
  });

  it('are right in the store when there are more of them than are kept', () => {
    const machine = new TestMachine();
    const count = directoriesKept + 10;
    for (let i = 0; i < count; i++) must(machine.mkdir(`/${i}`));
    for (let i = 0; i < count; i++) must(machine.open(`/${i}/file`));
    machine.machine.save();
    const saved = new Tables(machine.store);
    for (let i = 0; i < count; i++) expect(entriesIn(saved, `/${i}`)).toBe(1);
    expect(entriesIn(saved, '/')).toBe(count);
  });

  it('are written by no look, however many are looked at', () => {
    const machine = new TestMachine();
    const count = 3 * directoriesKept;
    for (let i = 0; i < count; i++) must(machine.mkdir(`/${i}`));
    machine.machine.save();
    for (let i = 0; i < 10; i++) must(machine.open(`/${i}/file`));
    const before = machine.store.puts;
    for (let i = count - 1; i >= 0; i--) expect(entriesIn(machine.tables, `/${i}`)).toBe(i < 10 ? 1 : 0);
    expect(machine.store.puts).toBe(before);
  });

  it('are found where they were moved to, and not where they were', () => {
    const machine = new TestMachine();
    must(machine.mkdir('/a'));
    must(machine.open('/a/file'));
    must(machine.rename('/a', '/b'));
    must(machine.open('/b/other'));
    expect(entriesIn(machine.tables, '/b')).toBe(2);
    expect(lookup(machine.tables, '/a/file').ok).toBe(false);
    must(machine.open('/a'));
    expect(must(lookup(machine.tables, '/a')).kind).toBe('file');
  });

  it('are gone when they were removed, and another of the same name begins empty', () => {
    const machine = new TestMachine();
    must(machine.mkdir('/a'));
    must(machine.open('/a/file'));
    must(machine.remove('/a', true));
    expect(lookup(machine.tables, '/a').ok).toBe(false);
    must(machine.mkdir('/a'));
    expect(entriesIn(machine.tables, '/a')).toBe(0);
    expect(lookup(machine.tables, '/a/file').ok).toBe(false);
  });
});
