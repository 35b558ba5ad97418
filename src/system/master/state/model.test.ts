/** Random histories: the state machine against nested maps, and against itself. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InodeId } from '../../../core/base/brand.ts';
import { codeOf, must, servers, TestMachine } from './machine.test-support.ts';
import { ModelTree } from './model.test-support.ts';
import { lookup } from './resolve.ts';
import { rootInode } from './tables.ts';

const names = fc.array(fc.constantFrom('a', 'b', 'é'), { maxLength: 4 });
const step = fc.oneof(
  fc.record({
    kind: fc.constant('open' as const),
    path: names,
    create: fc.constantFrom('never' as const, 'ifMissing' as const, 'exclusive' as const),
    parents: fc.boolean(),
    truncate: fc.boolean(),
    chunks: fc.constantFrom(0, 1, 3, 20),
  }),
  fc.record({ kind: fc.constant('mkdir' as const), path: names, parents: fc.boolean() }),
  fc.record({ kind: fc.constant('remove' as const), path: names, recursive: fc.boolean() }),
  fc.record({ kind: fc.constant('rename' as const), path: names, to: names, replace: fc.boolean() }),
  fc.record({ kind: fc.constant('reap' as const), limit: fc.integer({ min: 1, max: 12 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Carries a step out on both, and returns both answers. */
function run(m: TestMachine, model: ModelTree, s: Step): readonly [string, string] {
  m.now += 1;
  switch (s.kind) {
    case 'open': {
      const path = `/${s.path.join('/')}`;
      const result = m.open(path, {
        create: s.create,
        parents: s.parents,
        truncate: s.truncate,
        placement: s.chunks > 0 ? servers(1, 2, 3) : [],
      });
      if (result.ok) for (let index = 1; index < s.chunks; index++) m.addChunk(result.value.inode, index);
      return [codeOf(result), model.open(s.path, s.create, s.parents)];
    }
    case 'mkdir':
      return [codeOf(m.mkdir(`/${s.path.join('/')}`, s.parents)), model.mkdir(s.path, s.parents)];
    case 'remove':
      return [codeOf(m.remove(`/${s.path.join('/')}`, s.recursive)), model.remove(s.path, s.recursive)];
    case 'rename':
      return [
        codeOf(m.rename(`/${s.path.join('/')}`, `/${s.to.join('/')}`, s.replace)),
        model.rename(s.path, s.to, s.replace),
      ];
    case 'reap':
      return [codeOf(m.reap(s.limit)), 'ok'];
  }
}

/** Every path below a directory, its count of entries checked on the way. */
function paths(m: TestMachine, id: InodeId = rootInode, prefix = '/'): string[] {
  const entries = m.tables.dirents(id, '', 1000);
  const inode = m.tables.inode(id);
  expect(inode).toMatchObject({ kind: 'directory', entries: entries.length });
  return entries
    .flatMap(({ name, dirent }) =>
      dirent.kind === 'file' ? [prefix + name] : [`${prefix}${name}/`, ...paths(m, dirent.inode, `${prefix}${name}/`)],
    )
    .sort();
}

/** Chunks that a file below the root has. */
function reachableChunks(m: TestMachine, all: readonly string[]): number[] {
  return all
    .filter((path) => !path.endsWith('/'))
    .flatMap((path) => {
      const found = lookup(m.tables, path);
      if (!found.ok) throw new Error(found.message);
      return m.tables.handlesFrom(found.value.inode, m.file(path), 0, 1000).map(({ handle }) => handle as number);
    });
}

describe('random histories', () => {
  it('the tree answers and looks like nested maps after every step', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const m = new TestMachine();
        const model = new ModelTree();
        for (const s of steps) {
          const [actual, expected] = run(m, model, s);
          expect(`${JSON.stringify(s)} ${actual}`).toBe(`${JSON.stringify(s)} ${expected}`);
          expect(paths(m)).toEqual(model.paths());
        }
      }),
      { numRuns: 150 },
    );
  });

  it('reaping takes all that is cut off and nothing that is reachable', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 20 }), (steps, limit) => {
        const m = new TestMachine();
        const model = new ModelTree();
        for (const s of steps) run(m, model, s);
        const all = paths(m);
        const reachable = reachableChunks(m, all);
        while (must(m.reap(limit)).more);
        expect(paths(m)).toEqual(all);
        expect([...m.tables.chunks(0)].map(([handle]) => handle as number)).toEqual(reachable.sort((a, b) => a - b));
        expect(m.removed.some((handle) => reachable.includes(handle))).toBe(false);
        const files = all.filter((path) => !path.endsWith('/')).length;
        expect(m.tables.counters).toMatchObject({
          files,
          directories: all.length - files + 1,
          chunks: reachable.length,
        });
      }),
      { numRuns: 100 },
    );
  });

  it('the same commands give the same store and the same answers, also when it was closed and opened in between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), (steps, cut) => {
        const first = new TestMachine();
        const model = new ModelTree();
        const answers = steps.map((s) => run(first, model, s)[0]);
        const second = new TestMachine();
        const modelAgain = new ModelTree();
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
      { numRuns: 60 },
    );
  });

  it('an operation that is refused changes nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const m = new TestMachine();
        const model = new ModelTree();
        for (const s of steps) {
          const before = m.store.hash();
          const [answer] = run(m, model, s);
          if (answer !== 'ok') expect(m.store.hash()).toBe(before);
        }
      }),
      { numRuns: 60 },
    );
  });
});
