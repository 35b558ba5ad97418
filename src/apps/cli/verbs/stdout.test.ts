/** Verbs that write as much as there is, and a reader of stdout that takes nothing any more: they wait for it, and hold nothing for it meanwhile. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type FakeCluster, sample } from '../../../system/client/fake-cluster.test-support.ts';
import { Trash } from '../../../system/client/trash.ts';
import type { Verb } from '../invocation.ts';
import { run as find } from './find.ts';
import { run as fsck } from './fsck.ts';
import { run as ls } from './ls.ts';
import { run as tail } from './tail.ts';
import { run as trash } from './trash.ts';
import { runVerb, startCluster, urlOf, withCairn } from './verb.test-support.ts';

const things = 40;
const numbers = Array.from({ length: things }, (_, n) => n);

let cluster: FakeCluster;

/** Files one of whose replicas is missing, directories, lines, records, chunks, things in the trash: 40 of each. */
beforeEach(async () => {
  cluster = await startCluster();
  await withCairn(cluster, async (cairn) => {
    for (const n of numbers) await cairn.writeFile(`/files/${n}`, 'x', { parents: true });
    for (const n of numbers) await cairn.mkdir(`/tree/${n}`, { recursive: true });
    await cairn.writeFile('/lines', numbers.map((n) => `line ${n}\n`).join(''));
    for (const n of numbers) await cairn.appendRecord('/records', sample(10, n));
    await cairn.writeFile('/chunks', sample(things * 65_536), { chunkBytes: 65_536 });
  });
  for (const n of numbers) {
    const { handle } = cluster.master.file(`/files/${n}`).chunks.get(0)!;
    cluster.server(1).chunks.delete(handle);
  }
  vi.spyOn(Trash.prototype, 'entries').mockImplementation(async function* () {
    for (const id of numbers) yield { id, kind: 'file', path: `/gone/${id}`, removedAtMs: 0, expiresAtMs: 0 };
  });
});
afterEach(() => cluster.stop());

interface Case {
  readonly verb: Verb;
  readonly args?: readonly string[];
  readonly options?: object;
  readonly json?: boolean;
  /** Lines that are written at one time at most. */
  readonly most?: number;
}

const cases: Readonly<Record<string, Case>> = {
  'find --json': { verb: find, json: true },
  ls: { verb: ls, args: ['/files'] },
  'ls -l': { verb: ls, args: ['/files'], options: { long: true } },
  'ls --json': { verb: ls, args: ['/files'], json: true },
  'ls -R': { verb: ls, args: ['/tree'], options: { recursive: true } },
  'tail --json': { verb: tail, args: ['/lines'], options: { from: 0 }, json: true },
  'tail --records --json': { verb: tail, args: ['/records'], options: { records: true, from: 0 }, json: true },
  fsck: { verb: fsck, args: ['/files'], most: 4 },
  'fsck --json': { verb: fsck, args: ['/files'], json: true, most: 4 },
  'fsck --regions': { verb: fsck, options: { regions: '/chunks' } },
  'fsck --regions --json': { verb: fsck, options: { regions: '/chunks' }, json: true },
  'trash ls': { verb: trash, args: ['ls'] },
  'trash ls --json': { verb: trash, args: ['ls'], json: true },
};

/** Time enough for a verb that does not wait. */
async function lookAtAll(): Promise<void> {
  await withCairn(cluster, async (cairn) => {
    for await (const _ of cairn.walk('/'));
    await cairn.fsck('/');
    for await (const _ of cairn.regions('/chunks'));
  });
}

describe.each(Object.entries(cases))('%s', (_, { verb, args = [], options = {}, json = false, most = 1 }) => {
  test('goes no further than its reader', async () => {
    const given = { args, options: options as Record<string, unknown>, json };
    const whole = await runVerb(verb, cluster, given);
    const written: string[] = [];
    let hasRoom = false;
    const stdout = vi.spyOn(process.stdout, 'write');
    const first = new Promise<void>((resolve) =>
      stdout.mockImplementation((text) => {
        written.push(String(text));
        resolve();
        return hasRoom;
      }),
    );
    const running = verb({ ...given, cluster: urlOf(cluster), deadlineMs: 5000 });
    await first;
    await lookAtAll();
    const before = written.length;
    hasRoom = true;
    process.stdout.emit('drain');
    await running;
    stdout.mockRestore();
    process.exitCode = undefined;
    expect(before).toBeLessThanOrEqual(most);
    expect(linesOf(written.join(''))).toEqual(linesOf(whole.out));
  });
});

/** In no order: several files are looked at together. */
function linesOf(text: string): readonly string[] {
  const lines = text.split('\n').toSorted();
  expect(lines.length).toBeGreaterThan(things);
  return lines;
}
