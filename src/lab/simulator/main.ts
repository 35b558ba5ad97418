/**
 * `npm run sim`: whole clusters in simulated worlds.
 *
 *     npm run sim -- --seed 7 [--verbose]               one seed, with each step if asked
 *     npm run sim -- --seeds 200 [--start 1000]         many, one after another
 *     … --json                                          one object a line, the summary last
 */
import { parseArgs } from 'node:util';
import { simulate } from './simulate.ts';

const seedMax = 2 ** 31;

/** @throws Error that says what is wrong with the arguments */
function optionsOf(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string', default: '10' },
      start: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
    },
  });
  const { seed, seeds, start, json, verbose } = values;
  if (seed !== undefined) return { start: natural('--seed', seed), seeds: 1, json, verbose };
  return { start: natural('--start', start), seeds: natural('--seeds', seeds), json, verbose };
}

function natural(name: string, text: string): number {
  const n = Number(text);
  if (!/^\d+$/.test(text) || n > seedMax) throw new Error(`${name} ${text}: give a whole number up to ${seedMax}`);
  return n;
}

try {
  const options = optionsOf(process.argv.slice(2));
  const { failed } = await simulate(options, (line) => process.stdout.write(`${line}\n`));
  process.exitCode = failed.length === 0 ? 0 : 1;
} catch (thrown) {
  process.stderr.write(`sim: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 2;
}
