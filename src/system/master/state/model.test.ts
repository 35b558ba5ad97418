/** Random histories: the state machine against nested maps, and against itself. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InodeId } from '../../../core/base/brand.ts';
import { codeOf, must, servers, TestMachine } from './machine.test-support.ts';
import { ModelTree } from './model.test-support.ts';
import { lookup } from './resolve.ts';
import { sharersOf } from './sharing.ts';
import { rootInode } from './tables.ts';
import { trashed } from './trash.ts';

/** Few names, so that histories come back to the same places. */
const path = fc
  .tuple(fc.constantFrom<string>('a', 'b', 'é', 'copy'), fc.array(fc.constantFrom<string>('a', 'b'), { maxLength: 3 }))
  .map(([first, rest]) => [first, ...rest]);
const top = fc.constantFrom<string[]>(['a'], ['b'], ['é'], ['a', 'b'], ['copy'], ['copy', 'a'], ['again'], ['third']);
const limit = fc.integer({ min: 1, max: 12 });
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('open' as const),
      path: fc.oneof(path, top),
      create: fc.constantFrom('never' as const, 'ifMissing' as const, 'ifMissing' as const, 'exclusive' as const),
      parents: fc.boolean(),
      truncate: fc.boolean(),
      chunks: fc.constantFrom(0, 1, 3, 20),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('mkdir' as const), path, parents: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('remove' as const, 'discard' as const),
      path: fc.oneof(path, top),
      recursive: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('rename' as const),
      path: fc.oneof(path, top),
      to: fc.oneof(path, top),
      replace: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fileSnapshot' as const),
      path: fc.oneof(top, fc.constant([])),
      to: fc.oneof(path, top),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('write' as const), path, index: fc.constantFrom(0, 1, 2, 19) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('truncate' as const), path, chunkCount: fc.constantFrom(0, 1, 2, 18) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restore' as const), which: fc.nat(), to: path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('layOut' as const), limit }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('reap' as const), limit }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A tree that is worth copying, with a long file that was emptied once. */
function planted(): readonly [TestMachine, ModelTree] {
  const m = new TestMachine();
  const model = new ModelTree();
  const how = { kind: 'open', create: 'ifMissing', parents: true, truncate: true } as const;
  for (const directory of ['a/a/a', 'a/b/a/a', 'b/a/b'])
    for (const name of ['a', 'b', 'c', 'd'])
      run(m, model, { ...how, path: [...directory.split('/'), name], chunks: 1 });
  for (let time = 0; time < 2; time++) run(m, model, { ...how, path: ['b', 'b'], chunks: 20 });
  return [m, model];
}

/** A long file loses its chunks to its copy, which has not got them yet. */
const copiedAndCut: readonly Step[] = [
  { kind: 'open', path: ['long'], create: 'ifMissing', parents: false, truncate: true, chunks: 20 },
  { kind: 'fileSnapshot', path: ['long'], to: ['copied'] },
  { kind: 'truncate', path: ['long'], chunkCount: 0 },
];

/** Carries a step out on both, and returns both answers. */
function run(m: TestMachine, model: ModelTree, s: Step): readonly [string, string] {
  m.now += 1;
  const path = 'path' in s ? `/${s.path.join('/')}` : '/';
  switch (s.kind) {
    case 'open': {
      const { create, parents, truncate, chunks } = s;
      const placement = chunks > 0 ? servers(1, 2, 3) : [];
      const result = m.open(path, { create, parents, truncate, placement });
      if (result.ok) for (let index = 1; index < chunks; index++) m.addChunk(result.value.inode, index);
      return [codeOf(result), model.open(s.path, s)];
    }
    case 'mkdir':
      return [codeOf(m.mkdir(path, s.parents)), model.mkdir(s.path, s.parents)];
    case 'remove':
      return [codeOf(m.remove(path, s.recursive)), model.remove(s.path, s.recursive)];
    case 'discard':
      return [codeOf(m.discard(path, s.recursive)), model.remove(s.path, s.recursive, true)];
    case 'restore':
      return restore(m, model, s);
    case 'rename':
      return [codeOf(m.rename(path, `/${s.to.join('/')}`, s.replace)), model.rename(s.path, s.to, s.replace)];
    case 'fileSnapshot': {
      sealAll(m);
      const answer = codeOf(m.fileSnapshot(path, `/${s.to.join('/')}`));
      return [answer, answer === 'BUSY' ? 'BUSY' : model.fileSnapshot(s.path, s.to)];
    }
    case 'write':
      if (model.write(s.path, s.index)) m.split(path, s.index);
      return ['ok', 'ok'];
    case 'truncate':
      return truncate(m, model, s);
    case 'layOut':
      return [codeOf(m.layOut(s.limit)), 'ok'];
    case 'reap':
      return [codeOf(m.reap(s.limit)), 'ok'];
  }
}

/** Something from the trash, if there is anything. */
function restore(m: TestMachine, model: ModelTree, s: Extract<Step, { kind: 'restore' }>): readonly [string, string] {
  const items = trashed(m.tables, '', 1000);
  if (items.length === 0) return ['nothing', 'nothing'];
  const which = s.which % items.length;
  return [codeOf(m.restore(items[which]!.dirent.inode, `/${s.to.join('/')}`)), model.restore(which, s.to)];
}

/** By inode, as a client does that has the file open. */
function truncate(m: TestMachine, model: ModelTree, s: Extract<Step, { kind: 'truncate' }>): readonly [string, string] {
  if (!model.isFile(s.path)) return ['no file', 'no file'];
  const path = `/${s.path.join('/')}`;
  m.done({ kind: 'settlePath', path });
  const answer = codeOf(m.truncate(m.at(path).id, s.chunkCount));
  if (answer === 'ok') model.truncate(s.path, s.chunkCount);
  return [answer, answer === 'BUSY' && m.tables.counters.copies > 0 ? 'BUSY' : 'ok'];
}

/** As a leader does before a snapshot. */
function sealAll(m: TestMachine): void {
  for (const handle of [...m.tables.openChunks()]) must(m.report(handle, m.chunk(handle).version, 1, true));
}

/** Every path below a directory, its count of entries, and where each entry is, checked on the way. */
function paths(m: TestMachine, id: InodeId = rootInode, prefix = '/'): string[] {
  const entries = m.tables.dirents(id, '', 1000);
  const inode = m.tables.inode(id);
  expect(inode).toMatchObject({ kind: 'directory', entries: entries.length });
  for (const { name, dirent } of entries) expect(m.tables.inode(dirent.inode)).toMatchObject({ parent: id, name });
  return entries
    .flatMap(({ name, dirent }) =>
      dirent.kind === 'file' ? [prefix + name] : [`${prefix}${name}/`, ...paths(m, dirent.inode, `${prefix}${name}/`)],
    )
    .sort();
}

/** Chunks of the file at a path, by index. */
function chunksOf(m: TestMachine, path: string): Map<number, number> {
  const found = lookup(m.tables, path);
  if (!found.ok) throw new Error(found.message);
  const { inode } = found.value;
  const chunks = m.tables.handlesFrom(inode, m.file(path), 0, 1000);
  return new Map(chunks.map(({ index, handle }) => [index, handle as number]));
}

/** What can be seen is as in the model, when all that is under way has been completed. */
function expectAsModel(m: TestMachine, model: ModelTree): TestMachine {
  const done = m.clone();
  must(done.emptyTrash({ before: done.now + 1, limit: 1000 }));
  done.complete();
  expect(paths(done)).toEqual([...model.contents.keys()].sort());
  const handleOf = new Map<number, number>();
  const users = new Map<number, InodeId[]>();
  for (const [path, expected] of model.contents) {
    if (path.endsWith('/')) continue;
    const chunks = chunksOf(done, path);
    expect([...chunks.keys()]).toEqual([...expected.keys()].sort((a, b) => a - b));
    for (const [index, handle] of chunks) {
      const bytes = expected.get(index)!;
      expect(handleOf.get(bytes) ?? handle).toBe(handle);
      handleOf.set(bytes, handle);
      users.set(handle, [...(users.get(handle) ?? []), done.at(path).id]);
    }
  }
  expect(new Set(handleOf.values()).size).toBe(handleOf.size);
  expectExactReferences(done, users);
  return done;
}

/** Each chunk counts the files that have it, names them, and is there as long as there are any. */
function expectExactReferences(m: TestMachine, users: ReadonlyMap<number, readonly InodeId[]>): void {
  const all = [...m.tables.chunks(0)];
  expect(all.map(([handle]) => handle as number)).toEqual([...users.keys()].sort((a, b) => a - b));
  for (const [handle, { inode, refs }] of all) {
    const named = [inode, ...sharersOf(m.tables, handle, 100)];
    expect(named.sort()).toEqual([...users.get(handle)!].sort());
    expect(refs).toBe(named.length);
  }
  expect([...m.store.scan('x', '{')]).toEqual([]);
}

describe('random histories', () => {
  it('the tree answers and looks like nested maps after every step', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
        const [m, model] = planted();
        for (const s of steps) {
          const [actual, expected] = run(m, model, s);
          expect(`${JSON.stringify(s)} ${actual}`).toBe(`${JSON.stringify(s)} ${expected}`);
          expectAsModel(m, model);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('what is laid out and reaped in the end is all that is reachable and nothing else, however it came to be', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const [m, model] = planted();
        for (const s of steps) run(m, model, s);
        const done = expectAsModel(m, model);
        const reachable = new Set([...done.tables.chunks(0)].map(([handle]) => handle as number));
        expect(m.removed.some((handle) => reachable.has(handle))).toBe(false);
        const files = [...model.contents.keys()].filter((path) => !path.endsWith('/')).length;
        expect(done.tables.counters).toMatchObject({
          files,
          directories: model.contents.size - files + 1,
          chunks: reachable.size,
          copies: 0,
        });
        for (const server of servers(1, 2, 3)) expect(done.tables.chunksOn(server)).toBe(reachable.size);
      }),
      { numRuns: 100 },
    );
  });

  it('the same commands give the same store and the same answers, also when it was closed and opened in between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), fc.nat(), (steps, cut) => {
        const [first, model] = planted();
        const answers = steps.map((s) => run(first, model, s)[0]);
        const [second, modelAgain] = planted();
        const again = steps.map((s, i) => {
          if (i === cut % (steps.length + 1)) {
            second.machine.save();
            second.machine.reset(second.store);
          }
          return run(second, modelAgain, s)[0];
        });
        expect(again).toEqual(answers);
        first.machine.save();
        second.machine.save();
        expect(second.store.hash()).toBe(first.store.hash());
      }),
      { numRuns: 20 },
    );
  });

  it('a chunk that is granted is one file’s alone, also when all that is under way has been completed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: 'max' }), fc.nat(), (steps, first) => {
        const [m, model] = planted();
        for (const s of [...steps, ...copiedAndCut]) run(m, model, s);
        sealAll(m);
        const all = [...m.tables.chunks(0)];
        for (const [handle, { inode, version, servers }] of all.filter((_, i) => (i + first) % 7 === 0)) {
          const tried = m.clone();
          if (codeOf(tried.grant(handle, version, [...servers])) !== 'ok') continue;
          tried.complete();
          expect(tried.tables.chunk(handle) ?? { inode, refs: 1 }).toMatchObject({ inode, refs: 1 });
        }
      }),
      { numRuns: 40 },
    );
  });

  it('an operation that is refused changes nothing that can be seen', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: 'max' }), (steps) => {
        const [m, model] = planted();
        for (const s of steps) {
          const before = m.store.hash();
          const isPlain = m.tables.counters.copies === 0 && s.kind !== 'fileSnapshot';
          const [answer] = run(m, model, s);
          if (answer === 'ok') continue;
          if (isPlain) expect(m.store.hash()).toBe(before);
          else expectAsModel(m, model);
        }
      }),
      { numRuns: 20 },
    );
  });
});
