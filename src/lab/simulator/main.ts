/** `npm run sim`: the simulator without the rest of the program; takes what `cairn sim` takes. */
import { toCairnError } from '../../core/base/errors.ts';
import { natural, runTool, tool } from '../tool/tool.ts';
import { defaultFlags, jobsMax, type SimFlags, seedMax, seedsMax, toRequest } from './sim-request.ts';
import { simulate } from './simulate.ts';
import { terminalOutput } from './terminal.ts';

const membersMax = 9;
const secondsMax = 86_400;

const command = tool(
  'sim',
  `Consensus groups and whole clusters in simulated worlds: run many seeds, replay one, minimise one that fails.
\`cairn sim\` takes the same words.`,
)
  .argument('[action]', 'run, replay or minimise', 'run')
  .argument('[seed]', 'to replay or minimise')
  .option('--engine <name>', 'raft or paxos', defaultFlags.engine)
  .option('--seeds <n>', 'run: how many', natural(1, seedsMax), defaultFlags.seeds)
  .option('--start <seed>', 'run: the first', natural(0, seedMax), defaultFlags.start)
  .option('--seed <seed>', 'the same as replay SEED')
  .option('--members <n>', 'voters of a group; else each seed draws', natural(1, membersMax))
  .option('--elector <name>', 'timeout or ballot; else each seed draws')
  .option('--scenario <name>', 'consensus, cluster, or a file that minimise --out wrote', defaultFlags.scenario)
  .option('--jobs <n>', 'run: so many threads', natural(1, jobsMax), defaultFlags.jobs)
  .option('--until-failure', 'run: stop at the first seed that fails')
  .option('--seconds <n>', 'run: stop after so much processor time', natural(1, secondsMax))
  .option('--out <file>', 'minimise: write what is left to a file')
  .option('--verbose', 'replay: each step as it happens')
  .option('--json', 'one object a line, the summary last')
  .addHelpText('after', '\nExit codes: 0 all seeds passed, 1 a seed failed, 2 wrong usage.');

await runTool(command, async (words) => {
  const { seed, ...given } = command.opts<Partial<SimFlags> & { readonly seed?: string }>();
  const flags = { ...defaultFlags, ...given };
  try {
    const request = toRequest(seed === undefined ? words : ['replay', seed], flags);
    return (await simulate(request, terminalOutput(flags.json))) ? 0 : 1;
  } catch (thrown) {
    process.stderr.write(`sim: ${toCairnError(thrown).message}\n`);
    return 2;
  }
});
