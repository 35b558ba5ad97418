/**
 * `npm run sim`: the simulator without the rest of the program; takes what `cairn sim` takes.
 *
 *     npm run sim -- --seed 7 [--verbose]               one seed again, with each step if asked
 *     npm run sim -- --seeds 200 [--start 1000]         many, one after another
 *     npm run sim -- minimise 7                         a failing seed with as little as makes it fail
 */
import { parseArgs } from 'node:util';
import { toCairnError } from '../../core/base/errors.ts';
import { defaultFlags, type SimRequest, seedMax, seedsMax, toRequest } from './sim-request.ts';
import { simulate } from './simulate.ts';
import { terminalOutput } from './terminal.ts';

/** @throws Error that says what is wrong with the arguments */
function requestOf(args: readonly string[]): SimRequest {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      start: { type: 'string' },
      engine: { type: 'string' },
      members: { type: 'string' },
      elector: { type: 'string' },
      scenario: { type: 'string' },
      out: { type: 'string' },
      seconds: { type: 'string' },
      json: { type: 'boolean' },
      verbose: { type: 'boolean' },
      'until-failure': { type: 'boolean' },
    },
  });
  const { seed, seeds, start, members, seconds, 'until-failure': untilFailure = false, ...rest } = values;
  const flags = {
    ...defaultFlags,
    ...rest,
    untilFailure,
    seeds: natural('--seeds', seeds, seedsMax) ?? defaultFlags.seeds,
    start: natural('--start', start, seedMax) ?? defaultFlags.start,
    members: natural('--members', members, membersMax),
    seconds: natural('--seconds', seconds, secondsMax),
  };
  return toRequest(seed === undefined ? positionals : ['replay', seed], flags);
}

const membersMax = 9;
const secondsMax = 86_400;

function natural(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const n = Number(text);
  if (!/^\d+$/.test(text) || n > max) throw new Error(`${name} ${text}: give a whole number up to ${max}`);
  return n;
}

try {
  const request = requestOf(process.argv.slice(2));
  process.exitCode = (await simulate(request, terminalOutput(request.flags.json))) ? 0 : 1;
} catch (thrown) {
  process.stderr.write(`sim: ${toCairnError(thrown).message}\n`);
  process.exitCode = 2;
}
