/** docs/formats/metadata.md, held to what the code does. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toServerId } from '../../../core/base/brand.ts';
import * as keys from './keys.ts';
import { servers, TestMachine } from './machine.test-support.ts';
import { MapStore } from './map-store.test-support.ts';
import { MetadataMachine } from './metadata-machine.ts';
import { decodeChunk, decodeDirent, decodeIdentity, decodeInode } from './records.ts';
import { lookup } from './resolve.ts';

/** The pairs of the example in the document. */
function documented(): [string, string][] {
  const text = readFileSync(new URL('../../../../docs/formats/metadata.md', import.meta.url), 'utf8');
  const block = /## Example[\s\S]*?```text\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  return block
    .trim()
    .split('\n')
    .map((line) => {
      const [key = '', ...value] = line.split(/ +/);
      return [key, value.join('')];
    });
}

const latin1 = (hex: string) => Buffer.from(hex, 'hex').toString('latin1');

describe('the documented format', () => {
  it('is what the documented commands write', () => {
    const m = new TestMachine(false);
    const settings = {
      replication: 3,
      durability: 'memory',
      chunkBytes: 67_108_864,
      mode: 'strong',
      minReplicas: 1,
    } as const;
    m.done({ kind: 'initialise', clusterId: 'example', ...settings });
    m.now += 10;
    m.open('/log', { durability: 'disk', placement: servers(2, 1, 4) });
    m.now += 1000;
    m.report(1, 1, 1234, false);
    m.machine.save();
    const written = [...m.store.scan('', '\u00ff')].map(([key, value]) => [
      Buffer.from(key, 'latin1').toString('hex'),
      Buffer.from(value).toString('hex'),
    ]);
    expect(written).toEqual(documented());
  });

  it('reads as the document says', () => {
    const store = new MapStore();
    for (const [key, value] of documented()) store.put(latin1(key), Buffer.from(value, 'hex'));
    expect(decodeIdentity(store.get(keys.identityKey)!)).toEqual({ formatVersion: 2, clusterId: 'example' });
    expect(decodeDirent(store.get(latin1('6401016c6f67'))!)).toEqual({ kind: 'file', inode: 3 });
    expect(decodeChunk(store.get(latin1('630101'))!)).toEqual({
      inode: 3,
      index: 0,
      version: 1,
      sealed: false,
      length: 1234,
      servers: [2, 1, 4].map(toServerId),
      refs: 1,
    });
    expect(decodeInode(store.get(latin1('690103'))!)).toMatchObject({
      durability: 'disk',
      createdAt: 1_700_000_000_010,
      modifiedAt: 1_700_000_001_010,
    });
    const machine = new MetadataMachine();
    machine.reset(store);
    expect(lookup(machine.tables, '/log')).toEqual({ ok: true, value: { kind: 'file', inode: 3 } });
    expect(machine.tables.counters).toMatchObject({ nextInode: 4, nextHandle: 2, files: 1, directories: 1, chunks: 1 });
  });

  it('orders identifiers of any size as numbers', () => {
    const ids = [
      1,
      2,
      0xff,
      0x100,
      0xffff,
      0x1_0000,
      0xff_ffff,
      0x100_0000,
      0xffff_ffff,
      0x1_0000_0000,
      2 ** 40,
      2 ** 53 - 1,
    ];
    const written = ids.map((id) => keys.idKey(id));
    expect([...written].sort()).toEqual(written);
    for (const id of ids) expect(keys.handleOfKey(`c${keys.idKey(id)}`)).toBe(id);
    for (const id of ids) expect(keys.indexOfListKey(`f${keys.idKey(ids[3]!)}${keys.idKey(id)}`)).toBe(id);
  });

  it('takes less than 125 bytes per small file, keys included', () => {
    const m = new TestMachine();
    m.tables.counters.nextInode = 1_000_000;
    m.tables.counters.nextHandle = 1_000_000;
    m.mkdir('/some/directory', true);
    const before = m.store.bytes;
    for (let i = 0; i < 1000; i++) {
      m.open(`/some/directory/a-small-file-${1_000_000 + i}`);
      m.report(1_000_000 + i, 1, 4096, true);
    }
    expect((m.store.bytes - before) / 1000).toBeLessThan(125);
  });
});
