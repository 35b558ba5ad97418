import { expect, test } from 'vitest';
import { collectGarbage } from '../garbage.test-support.ts';
import { MemoryDisk, testEnv } from '../memory-disk.test-support.ts';
import { h } from './chunk-store.test-support.ts';
import { type Journal, openJournal } from './journal.ts';

const open = (disk: MemoryDisk) => openJournal(testEnv(disk), 'journal', 128 * 1024, 1);

/** Opens it, and lets go of what it has found. */
async function opened(disk: MemoryDisk): Promise<{ journal: Journal; found: WeakRef<Uint8Array> }> {
  const { journal, replayed } = await open(disk);
  return { journal, found: new WeakRef(replayed.at(-1)!.payload) };
}

test('an open journal does not keep in memory what was found in it', async () => {
  const disk = new MemoryDisk();
  const first = await open(disk);
  const { written, done } = await first.journal.append([{ kind: 'removed', handle: h(1) }], true);
  await written;
  done();
  const { journal, found } = await opened(disk);
  await collectGarbage();
  expect(found.deref()).toBeUndefined();
  expect(journal.bytes).toBeGreaterThan(0);
});
