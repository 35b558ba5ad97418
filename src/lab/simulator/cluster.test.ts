import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { engineNames } from './engines.ts';
import { type Outcome, type RunOptions, runSeed } from './run-seed.ts';

const execute = promisify(execFile);
const program = fileURLToPath(new URL('../../../bin/cairn', import.meta.url));
const runMs = 60_000;
const tailLines = 40;

/** A short run in bad weather. */
const short = { stormMs: 4_000, thinkMs: 50 } as const;

async function passing(seed: number, options: RunOptions = {}): Promise<Outcome> {
  const outcome = await runSeed(seed, options);
  const story = () => [...outcome.trace.tail(tailLines), `seed ${seed}: ${outcome.why}`].join('\n');
  expect(outcome.passed, outcome.passed ? '' : story()).toBe(true);
  return outcome;
}

function regressions(): readonly { readonly seed: number; readonly cause: string }[] {
  const text = readFileSync(new URL('./regressions.txt', import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => /^\d/.test(line));
  return lines.map((line) => ({ seed: Number.parseInt(line, 10), cause: line.replace(/^\d+\s+/, '') }));
}

describe('a whole cluster in a simulated world', () => {
  it(
    'keeps everything acknowledged under crashes, power losses and partitions, and works again when they end',
    async () => {
      for (const seed of [3, 10, 19]) {
        const { counts } = await passing(seed, { scenario: short });
        expect(counts.faults).toBeGreaterThan(0);
        expect(counts.records).toBeGreaterThan(20);
      }
    },
    runMs,
  );

  it(
    'keeps what is of durability disk when all masters and chunkservers lose power at once',
    async () => {
      await passing(20, { scenario: { ...short, hasMemoryFiles: false, blackoutAtMs: 2_000 } });
    },
    runMs,
  );

  it(
    'keeps everything acknowledged while chunkservers are drained, which are empty in the end if the others are enough',
    async () => {
      const { counts } = await passing(21, { scenario: { ...short, chunkservers: 4, drainEveryMs: 300 } });
      expect(counts.drains).toBeGreaterThan(3);
    },
    runMs,
  );

  it.each(engineNames)(
    'keeps everything acknowledged while masters of %s are given empty disks, and leadership is handed over, with leases',
    async (engine) => {
      const group = { elector: 'ballot', lease: { durationMs: 285, driftMax: 0.01 }, transferEveryMs: 300 } as const;
      const { counts } = await passing(22, {
        engine,
        scenario: { ...short, group: { ...group, replaceDiskEveryMs: 500 } },
      });
      expect(counts.newDisks).toBeGreaterThan(1);
    },
    runMs,
  );

  it(
    'keeps everything acknowledged while bits flip on one disk, which is mended in the end',
    async () => {
      const rot = { server: 2, everyMs: 100, scrubEveryMs: 2_000 };
      const { counts } = await passing(22, {
        scenario: { ...short, chunkBytes: 131_072, blackoutAtMs: undefined, rot },
      });
      expect(counts.rotten).toBeGreaterThan(5);
    },
    runMs,
  );

  it(
    'keeps what is appended to files that other clients cut and empty, and nothing that was cut off',
    async () => {
      const { counts } = await passing(23, { scenario: { ...short, cutLogs: 2 } });
      expect(counts.cuts).toBeGreaterThan(3);
    },
    runMs,
  );

  it(
    'runs the same way from the same seed: twice here, and once in another process',
    async () => {
      const first = await passing(301013);
      const again = await passing(301013);
      const other = await passing(301012);
      expect(again.hash).toBe(first.hash);
      expect(again.eventCount).toBe(first.eventCount);
      expect(other.hash).not.toBe(first.hash);
      const { stdout } = await execute(process.execPath, [
        program,
        'sim',
        'replay',
        '301013',
        '--scenario',
        'cluster',
        '--json',
      ]);
      const [seed, summary] = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(seed).toMatchObject({ seed: 301013, passed: true, hash: first.hash, events: first.eventCount });
      expect(summary).toMatchObject({ event: 'summary', engine: 'raft', seeds: 1, passed: 1, failed: [] });
    },
    runMs,
  );

  it.each(regressions())(
    'does not fall back: seed $seed, $cause',
    async ({ seed }) => {
      await passing(seed, { scenario: { thinkMs: 50 } });
    },
    runMs,
  );
});
