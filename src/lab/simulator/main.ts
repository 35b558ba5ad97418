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

const help = `Usage: npm run sim -- [run | replay SEED | minimise SEED] [options]

Consensus groups and whole clusters in simulated worlds: run many seeds, replay one, minimise one that fails.
\`cairn sim\` takes the same words.

Options:
  --engine NAME      raft or paxos (default: ${defaultFlags.engine})
  --seeds N          run: how many (default: ${defaultFlags.seeds})
  --start SEED       run: the first (default: ${defaultFlags.start})
  --seed SEED        the same as replay SEED
  --members N        voters of a group; else each seed draws
  --elector NAME     timeout or ballot; else each seed draws
  --scenario NAME    consensus, cluster, or a file that minimise --out wrote (default: ${defaultFlags.scenario})
  --until-failure    run: stop at the first seed that fails
  --seconds N        run: stop after so much processor time
  --out FILE         minimise: write what is left to a file
  --verbose          replay: each step as it happens
  --json             one object a line, the summary last
  -h, --help         this

Exit codes: 0 all seeds passed, 1 a seed failed, 2 wrong usage.
`;

/** Undefined: help was asked for. @throws Error that says what is wrong with the arguments */
function requestOf(args: readonly string[]): SimRequest | undefined {
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
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) return undefined;
  const { help: _, seed, seeds, start, members, seconds, 'until-failure': untilFailure = false, ...rest } = values;
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

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0); // a reader that has seen enough: `npm run sim -- run | head`
  throw error;
});
try {
  const request = requestOf(process.argv.slice(2));
  if (request === undefined) process.stdout.write(help);
  else process.exitCode = (await simulate(request, terminalOutput(request.flags.json))) ? 0 : 1;
} catch (thrown) {
  const { message } = toCairnError(thrown);
  process.stderr.write(`sim: ${message}${message.includes('--help') ? '' : '; see `npm run sim -- --help`'}\n`);
  process.exitCode = 2;
}
