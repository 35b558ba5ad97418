import { expect, test } from 'vitest';
import type { Leader } from './leader.ts';
import { readdir } from './settled-reads.ts';
import { type Command, decodeResult, encodeCommand } from './state/commands.ts';
import { must, TestMachine } from './state/machine.test-support.ts';

/** Carries out commands at once. */
function leaderOf(m: TestMachine): { readonly leader: Leader; readonly executed: Command[] } {
  const executed: Command[] = [];
  const leader: Partial<Leader> = {
    tables: m.tables,
    barrier: async () => {},
    execute: async (command, result) => {
      executed.push(command);
      return decodeResult(result, m.applyBytes(encodeCommand(command)));
    },
  };
  return { leader: leader as Leader, executed };
}

/** /a with so many files, /b and /c under way as copies of it and of one another, and a name that /b has decided on without having it. */
function withChain(files: number, laidOut: number): TestMachine {
  const m = new TestMachine();
  for (let i = 0; i < files; i++) must(m.open(`/a/f${10_000 + i}`, { parents: true, placement: [] }));
  must(m.fileSnapshot('/a', '/b'));
  must(m.layOut(laidOut));
  must(m.open('/a/aaa', { placement: [] }));
  must(m.fileSnapshot('/b', '/c'));
  return m;
}

async function listed(leader: Leader, path: string, limit: number): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const { entries, more } = await readdir(leader, { path, after: names.at(-1) ?? '', limit, withAttributes: false });
    names.push(...entries.map(({ name }) => name));
    if (!more) return names;
  }
}

test('a page of a snapshot of a snapshot takes a bounded number of commands, however large the directory is', async () => {
  const m = withChain(3000, 2500);
  const { leader, executed } = leaderOf(m);
  const page = await readdir(leader, { path: '/c', after: '', limit: 100, withAttributes: false });
  expect(page.entries.map(({ name }) => name)).toEqual(m.names('/b').slice(0, 100));
  expect(executed.length).toBeLessThanOrEqual(3);
});

test('a snapshot of a snapshot is listed as it was, whatever was laid out and decided before', async () => {
  for (const laidOut of [1, 7, 20, 40]) {
    const m = withChain(60, laidOut);
    must(m.open('/b/zzz', { placement: [] }));
    must(m.open('/b/f10029x', { placement: [] }));
    must(m.remove('/b/f10030'));
    must(m.remove('/a/f10040'));
    must(m.fileSnapshot('/b', '/d'));
    const { leader } = leaderOf(m);
    const before = [...Array(60).keys()].map((i) => `f${10_000 + i}`);
    expect(await listed(leader, '/c', 9)).toEqual(before);
    const after = [...before.filter((name) => name !== 'f10030'), 'f10029x', 'zzz'].sort();
    expect(await listed(leader, '/d', 9)).toEqual(after);
    expect(await listed(leader, '/b', 9)).toEqual(after);
  }
});
