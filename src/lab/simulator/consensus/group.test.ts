import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { engineNames } from '../engines.ts';
import { drawPlan } from './draw-plan.ts';
import { runGroup } from './run-group.ts';

const execute = promisify(execFile);
const program = fileURLToPath(new URL('../../../../bin/cairn', import.meta.url));
const runMs = 60_000;
/** More of them: `cairn sim run --engine E --seeds 10000`. */
const seeds = 25;

/** Seeds that failed once, with the cause. */
function regressions() {
  const text = readFileSync(new URL('./regressions.txt', import.meta.url), 'utf8');
  return text.split('\n').flatMap((line) => {
    const found = /^(\w+)\s+(\d+)\s+(.*)$/.exec(line);
    return found === null ? [] : [{ engine: found[1]!, seed: Number(found[2]), cause: found[3]! }];
  });
}

describe.each(engineNames)('a group of %s', (engine) => {
  it(
    'is safe whatever goes wrong, and serves again when a quorum is well',
    () => {
      let committed = 0;
      for (let seed = 1; seed <= seeds; seed++) {
        const { broken, counts } = runGroup(drawPlan(seed, { engine }));
        expect(broken, `seed ${seed}`).toBeUndefined();
        committed += counts.committed;
      }
      expect(committed).toBeGreaterThan(seeds * 6);
    },
    runMs,
  );

  it(
    'runs the same way from the same seed: twice here, traced or not, and once in another process',
    async () => {
      const lines: string[] = [];
      const first = runGroup(drawPlan(17, { engine }));
      const again = runGroup(drawPlan(17, { engine }), (_, who, text) => lines.push(`${who} ${text}`));
      expect(again.hash).toBe(first.hash);
      expect(again.events).toBe(first.events);
      expect(lines.length).toBeGreaterThan(10);
      expect(runGroup(drawPlan(18, { engine })).hash).not.toBe(first.hash);
      const { stdout } = await execute(process.execPath, [
        program,
        'sim',
        'replay',
        '17',
        '--engine',
        engine,
        '--json',
      ]);
      const [report, summary] = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(report).toMatchObject({ event: 'seed', seed: 17, passed: true, hash: first.hash, events: first.events });
      expect(summary).toMatchObject({ event: 'summary', engine, seeds: 1, passed: 1, failed: [] });
    },
    runMs,
  );

  it.each(regressions().filter((regression) => regression.engine === engine))(
    'does not fall back: seed $seed, $cause',
    ({ seed }) => {
      expect(runGroup(drawPlan(seed, { engine })).broken).toBeUndefined();
    },
    runMs,
  );
});
