import { describe, expect, it } from 'vitest';
import type { SettingsAsked } from '../../../core/protocol/types.ts';
import { chunkBytes, codeOf, must, servers, TestMachine } from './machine.test-support.ts';

const usual = { replication: 3, durability: 'memory', chunkBytes, mode: 'strong', minReplicas: 1 } as const;

describe('settings', () => {
  it('come from the directory in which something is made, with what was asked for put over them', () => {
    const m = new TestMachine();
    must(m.mkdir('/d', false, { mode: 'async', replication: 2, minReplicas: 2 }));
    must(m.open('/d/e/f', { parents: true, durability: 'disk' }));
    expect(m.at('/d/e').inode).toMatchObject({ ...usual, mode: 'async', replication: 2, minReplicas: 2 });
    expect(m.file('/d/e/f')).toMatchObject({ mode: 'async', replication: 2, minReplicas: 2, durability: 'disk' });
    expect(m.at('/').inode).toMatchObject(usual);
  });

  it('of a directory concern what is made in it afterwards, and nothing that is there', () => {
    const m = new TestMachine();
    must(m.open('/d/before', { parents: true }));
    must(m.set('/d', { mode: 'gfs', durability: 'disk' }));
    must(m.open('/d/after'));
    expect(m.file('/d/before')).toMatchObject(usual);
    expect(m.file('/d/after')).toMatchObject({ ...usual, mode: 'gfs', durability: 'disk' });
  });

  it('of a file change one by one, and its content stays', () => {
    const m = new TestMachine();
    must(m.open('/f'));
    must(m.set('/f', { replication: 5 }));
    must(m.set('/f', { minReplicas: 4 }));
    expect(m.file('/f')).toMatchObject({ ...usual, replication: 5, minReplicas: 4, chunkCount: 1, firstHandle: 1 });
    must(m.set('/f', { replication: 2 }));
    expect(m.file('/f')).toMatchObject({ replication: 2, minReplicas: 2 });
  });

  it('change the chunk size of a file only while it has no chunk', () => {
    const m = new TestMachine();
    must(m.open('/empty', { placement: [] }));
    must(m.set('/empty', { chunkBytes: 65_536 }));
    expect(m.file('/empty').chunkBytes).toBe(65_536);
    must(m.open('/full', { placement: servers(1) }));
    expect(codeOf(m.set('/full', { chunkBytes: 65_536 }))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.set('/full', { chunkBytes, mode: 'async' }))).toBe('ok');
  });

  it.each<Partial<SettingsAsked>>([
    { replication: 0 },
    { replication: 17 },
    { minReplicas: 0 },
    { minReplicas: 4 },
    { replication: 2, minReplicas: 3 },
    { chunkBytes: 0 },
    { chunkBytes: 100_000 },
    { chunkBytes: 2 ** 31 },
  ])('refuses %o wherever it is asked for, and nothing is changed', (asked) => {
    const m = new TestMachine();
    must(m.open('/f'));
    const before = m.store.hash();
    expect(codeOf(m.set('/f', asked))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.set('/', asked))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.mkdir('/d/e', true, asked))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.open('/g/h', { parents: true, ...asked }))).toBe('INVALID_ARGUMENT');
    expect(m.store.hash()).toBe(before);
  });

  it('says what is missing, and that a file holds nothing', () => {
    const m = new TestMachine();
    must(m.open('/f'));
    expect(codeOf(m.set('/g', { mode: 'gfs' }))).toBe('NOT_FOUND');
    expect(codeOf(m.set('/f/g', { mode: 'gfs' }))).toBe('NOT_A_DIRECTORY');
  });
});
