/**
 * `npm run kills`: a real cluster of which one process after another is killed with kill -9 while writers append.
 *
 *     npm run kills -- --rounds 200 [--engine paxos] [--json]
 *
 * Ends with 1 if anything acknowledged in mode `strong` is lost, doubled or torn.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exitWhenInterrupted } from '../cluster/local-cluster.ts';
import { killRounds } from './kill-rounds.ts';
import type { Findings } from './records.ts';

const program = fileURLToPath(new URL('../bin/cairn', import.meta.url));

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    engine: { type: 'string', default: 'raft' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('--rounds is a whole number from 1 on');
if (values.engine !== 'raft' && values.engine !== 'paxos') throw new Error('--engine is raft or paxos');

exitWhenInterrupted();
const say = (line: string) => process.stderr.write(`${line}\n`);
const report = await killRounds({ program, rounds, engine: values.engine, say });
const { strong, async: loose, kills, seconds } = report;
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
else {
  const line = (name: string, { acknowledged, unknown, lost, lostBytes, doubled, torn }: Findings) =>
    `${name}: ${acknowledged} acknowledged, ${lost.length} lost (${lostBytes} bytes), ${doubled.length} doubled, ${torn.length} torn; ${unknown} of unknown outcome`;
  process.stdout.write(
    `${kills.chunkserver} chunkservers and ${kills.master} leading masters killed in ${Math.round(seconds)} s\n${line('strong', strong)}\n${line('async', loose)}\n`,
  );
}
if (strong.lost.length + strong.doubled.length + strong.torn.length > 0) process.exitCode = 1;
