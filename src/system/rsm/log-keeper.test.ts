import { describe, expect, it } from 'vitest';
import { crc32 } from '../../core/base/crc32.ts';
import { toEpoch, toLogIndex } from '../../core/consensus/engine.ts';
import { makeEntry } from '../../core/consensus/entry-format.ts';
import { Raft, type RaftRecord } from '../../core/consensus/index.ts';
import { collectGarbage } from '../storage/garbage.test-support.ts';
import { testEnv } from '../storage/memory-disk.test-support.ts';
import { openWriteAheadLog } from '../storage/wal/open-write-ahead-log.ts';
import { LogKeeper } from './log-keeper.ts';

const entriesMax = 40;

function entryAt(index: number): RaftRecord {
  const payload = { kind: 'proposal', session: 1, sequence: index, data: new Uint8Array(200) } as const;
  return { kind: 'entry', entry: makeEntry(crc32, 0, 1, toLogIndex(index), payload) };
}

function indexesOf(records: readonly RaftRecord[]): number[] {
  return records.flatMap((record) => (record.kind === 'entry' ? [record.entry.index] : []));
}

/** A log of a few entries a segment, on one disk. */
function setUp() {
  const env = testEnv();
  return () =>
    LogKeeper.open({
      env,
      openLog: openWriteAheadLog,
      directory: '/log',
      segmentBytes: 1024,
      kind: Raft,
      epoch: toEpoch(1),
      baseline: () => [],
    });
}

describe('the log of a replica', () => {
  it.each([1, 7, 20, entriesMax - 1])('compacted up to %i holds every entry after it', async (upTo) => {
    const open = setUp();
    const { keeper } = await open();
    for (let index = 1; index <= entriesMax; index++) await keeper.append([entryAt(index)], true);
    await keeper.compact(upTo);
    await keeper.close();
    const after = indexesOf((await open()).records).filter((index) => index > upTo);
    expect(after).toEqual(Array.from({ length: entriesMax - upTo }, (_, i) => upTo + 1 + i));
  });

  it('is shorter once it is compacted, also when it was read from disk before', async () => {
    const open = setUp();
    const { keeper } = await open();
    for (let index = 1; index <= entriesMax; index++) await keeper.append([entryAt(index)], true);
    await keeper.close();
    const again = await open();
    const { bytes } = again.keeper;
    await again.keeper.compact(entriesMax / 2);
    expect(again.keeper.bytes).toBeLessThan(bytes * 0.7);
    await again.keeper.close();
    expect(indexesOf((await open()).records)[0]).toBeGreaterThan(10);
  });

  it('does not keep in memory what was read from disk', async () => {
    const open = setUp();
    const { keeper } = await open();
    await keeper.append([entryAt(1)], true);
    await keeper.close();
    const opened = async () => {
      const { keeper: again, records } = await open();
      return { again, record: new WeakRef(records.at(-1)!) };
    };
    const { again, record } = await opened();
    await collectGarbage();
    expect(record.deref()).toBeUndefined();
    await again.close();
  });
});
