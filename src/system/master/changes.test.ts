import { expect, test } from 'vitest';
import * as changes from './changes.ts';
import { codeOf } from './cluster.test-support.ts';
import type { Leader } from './leader.ts';
import { stoppedLeading } from './refusal.ts';
import { encodeCommand } from './state/commands.ts';
import { chunkBytes, must, TestMachine } from './state/machine.test-support.ts';

/** A leader that stops before the log is asked, or while the command is on its way to the tables. */
function stoppingLeader() {
  const m = new TestMachine();
  const { inode } = must(m.open('/f'));
  const leader = {
    tables: m.tables,
    isStopped: false,
    checkLeading: () => {
      if (leader.isStopped) throw stoppedLeading();
    },
    garbage: { reap: () => {} },
    cutChunks: { closed: async () => {} }, // it was told of nothing
  };
  const replica: changes.Executor = {
    touch: async () => {},
    execute: async (_, command) => {
      leader.isStopped = true;
      return m.applyBytes(command);
    },
  };
  const id = { client: 7, sequence: 1, ackBelow: 1 };
  const truncate = () =>
    codeOf(changes.truncate(replica, leader as unknown as Leader, { id, inode, chunkCount: 0, chunkBytes }));
  return { m, inode, truncate };
}

test('a file is not said to be cut by a leader that has stopped meanwhile: it may not have closed what the file has lost', async () => {
  const { m, inode, truncate } = stoppingLeader();
  expect(await truncate()).toBe('UNKNOWN_OUTCOME');
  const command = encodeCommand({ kind: 'truncate', inode, chunkCount: 0 });
  expect(m.log.map(String)).toContain(String(command));
  const asked = m.log.length;
  expect(await truncate()).toBe('NOT_LEADER');
  expect(m.log.length).toBe(asked);
});
