import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { freePortBase } from '../cluster/local-cluster.ts';
import { until } from './command-line.test-support.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const example = join(root, 'examples/counter.mjs');

describe('examples/counter.mjs', () => {
  const children = new Map<number, ChildProcess>();
  const dir = mkdtempSync(join(tmpdir(), 'cairn-counter-'));

  afterEach(() => Promise.all([...children.values()].map(kill)));
  afterAll(() => rmSync(dir, { recursive: true }));

  it.each(['raft', 'paxos'])(
    'counts at any of three processes under %s, and misses nothing when two of them are killed in turn',
    {
      timeout: 60_000,
    },
    async (engine) => {
      const portBase = await freePortBase();
      const start = (id: number): void => {
        const args = [example, String(id), engine, join(dir, engine, String(id)), String(portBase)];
        children.set(id, spawn(process.execPath, args, { stdio: 'ignore' }));
      };
      const ask = async (id: number, method = 'GET'): Promise<number | undefined> => {
        try {
          const answer = await fetch(`http://127.0.0.1:${portBase + id}/visits`, { method });
          return answer.ok ? Number(await answer.text()) : undefined;
        } catch (cause) {
          if (cause instanceof TypeError) return undefined; // not there
          throw cause;
        }
      };
      for (const id of [1, 2, 3]) start(id);
      await until('all answer', async () => {
        for (const id of [1, 2, 3]) if ((await ask(id)) === undefined) return false;
        return true;
      });
      let acknowledged = 0;
      for (const victim of [1, 2]) {
        for (let i = 0; i < 20; i++) acknowledged += (await ask(1 + (i % 3), 'POST')) === undefined ? 0 : 1;
        await kill(children.get(victim)!);
        await until('the others go on', async () => (await ask(3, 'POST')) !== undefined);
        acknowledged += 1;
        start(victim);
        await until('it is back', async () => (await ask(victim)) !== undefined);
      }
      const counts = [await ask(1), await ask(2), await ask(3)];
      expect(new Set(counts).size).toBe(1);
      expect(counts[0]).toBeGreaterThanOrEqual(acknowledged); // one that was given up may have counted all the same
      expect(acknowledged).toBe(42);
    },
  );

  it('is as long as docs/consensus.md says, and stands there as it is', () => {
    const source = readFileSync(example, 'utf8');
    const code = source.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('//'));
    expect(code.length).toBeLessThanOrEqual(40);
    const shown = /```js\n(import \{ createServer[\s\S]*?)```/.exec(
      readFileSync(join(root, 'docs/consensus.md'), 'utf8'),
    );
    expect(source.endsWith(shown?.[1] ?? 'nothing')).toBe(true);
  });
});

function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

/** Three engines in one page, with a network and disks that are instant: elected, and 100 proposals committed everywhere. */
const page = `
import * as consensus from 'cairn/consensus';
const { crc32, defaultLimits, defaultTiming, toEpoch, toNodeId } = consensus;

export function run(name) {
  const ids = [1, 2, 3].map(toNodeId);
  const bootstrap = { voters: ids, nonVoters: [] };
  const shared = { bootstrap, epoch: toEpoch(1), crc32, timing: defaultTiming, limits: defaultLimits };
  const engines = new Map(ids.map((id) => [id, consensus[name].create({ ...shared, id, seed: id }, { records: [], applied: undefined, now: 0 })]));
  const delivered = new Map(ids.map((id) => [id, []]));
  let now = 0;
  const queue = [];
  const step = (id, input) => {
    const effects = engines.get(id).step(input);
    const envelopes = [...effects.send, ...effects.sendAfter.flatMap((gated) => gated.envelopes)];
    if (effects.persist !== undefined) queue.push([id, { kind: 'persisted', io: effects.persist.io, now }]);
    for (const { to, message } of envelopes) queue.push([to, { kind: 'message', from: id, message, now }]);
    for (const entry of effects.committed) if (entry.payload.kind === 'proposal') delivered.get(id).push(entry.payload.sequence);
    if (effects.committed.length > 0) queue.push([id, { kind: 'applied', index: effects.committed.at(-1).index }]);
  };
  const settle = () => { for (let next = queue.shift(); next !== undefined; next = queue.shift()) step(...next); };
  const tick = () => { now += 10; for (const id of ids) step(id, { kind: 'tick', now }); settle(); };
  const leader = () => ids.find((id) => engines.get(id).status.established);
  while (leader() === undefined && now < 10000) tick();
  for (let sequence = 1; sequence <= 100; sequence++) step(leader(), { kind: 'propose', proposals: [{ session: 7, sequence, data: new Uint8Array(16) }], now });
  for (let i = 0; i < 100; i++) tick();
  return JSON.stringify([...delivered.values()]);
}
`;

describe('the engines in a browser bundle', () => {
  it('need nothing but the language, and commit in a group of three', async () => {
    const { outputFiles } = await build({
      stdin: { contents: page, resolveDir: root, loader: 'js' },
      bundle: true,
      platform: 'browser',
      conditions: ['browser'],
      format: 'iife',
      globalName: 'page',
      write: false,
    });
    const source = outputFiles[0]!.text;
    expect(source).not.toMatch(/["']node:|\brequire\(/);
    const world = createContext({}); // no process, no Buffer, no timers, no console
    runInContext(source, world);
    const expected = JSON.stringify(Array.from({ length: 3 }, () => Array.from({ length: 100 }, (_, i) => i + 1)));
    for (const engine of ['Raft', 'MultiPaxos']) expect(runInContext(`page.run('${engine}')`, world)).toBe(expected);
  });
});
