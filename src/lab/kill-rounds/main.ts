/**
 * `npm run kills`: a real cluster of which one process after another is killed with kill -9 while writers append.
 * Ends with 1 if anything acknowledged in mode `strong` is lost or out of order, or anything in either mode is doubled or torn.
 */
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import type { EngineName } from '../../core/consensus/engine.ts';
import { exitWhenInterrupted } from '../cluster/local-cluster.ts';
import { natural, runTool, tool } from '../tool/tool.ts';
import { killRounds } from './kill-rounds.ts';
import type { Findings } from './records.ts';

interface Flags {
  readonly rounds: number;
  readonly engine: EngineName;
  readonly dir?: string;
  readonly json?: boolean;
}

const program = fileURLToPath(new URL('../bin/cairn', import.meta.url));
const command = tool('kills', 'Kills one process after another of a real cluster while writers append.')
  .option('--rounds <n>', 'how many kills', natural(1, 100_000), 20)
  .addOption(new Option('--engine <name>', 'of the masters').choices(['raft', 'paxos']).default('raft'))
  .option('--dir <dir>', 'of the cluster; it stays, to be looked into; else one that goes')
  .option('--json', 'print one document')
  .addHelpText(
    'after',
    '\nExit codes: 0 nothing was doubled or torn, and of mode strong nothing lost or out of order; 1 something was; 2 wrong usage, 3 it could not go on.',
  );

await runTool(command, async () => {
  exitWhenInterrupted();
  const { json, ...options } = command.opts<Flags>();
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const report = await killRounds({ program, ...options, say });
  const { strong, async: loose, kills, seconds } = report;
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else {
    process.stdout.write(
      `${kills.chunkserver} chunkservers and ${kills.master} leading masters killed in ${Math.round(seconds)} s\n${lineOf('strong', strong)}\n${lineOf('async', loose)}\n`,
    );
  }
  const wrong = [strong.lost, strong.disordered, strong.doubled, strong.torn, loose.doubled, loose.torn];
  return wrong.some((found) => found.length > 0) ? 1 : 0;
});

function lineOf(name: string, { acknowledged, unknown, ...found }: Findings): string {
  const { lost, lostBytes, disordered, doubled, torn } = found;
  const wrong = `${lost.length} lost (${lostBytes} bytes), ${disordered.length} out of order, ${doubled.length} doubled, ${torn.length} torn`;
  return `${name}: ${acknowledged} acknowledged, ${wrong}; ${unknown} of unknown outcome`;
}
