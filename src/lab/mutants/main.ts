/**
 * `npm run mutants`: applies known bugs of consensus implementations to a copy of the sources, one at a time, and lets the simulator find
 * them. One that survives means that the simulator is too weak.
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError } from 'commander';
import { natural, runTool, tool } from '../tool/tool.ts';
import { mutants } from './catalogue.ts';
import type { Mutant } from './mutant.ts';
import { notApplicable } from './not-applicable.ts';
import { tableOf } from './table.ts';
import { tryMutant, type Verdict } from './trial.ts';
import { Workbench } from './workbench.ts';

const repository = resolve(fileURLToPath(new URL('..', import.meta.url)));

interface Flags {
  readonly only?: readonly Mutant[];
  readonly seeds: number;
  readonly seconds: number;
  readonly json?: boolean;
}

const command = tool(
  'mutants',
  'Known bugs, put into a copy of the sources one at a time: does the simulator find them?',
)
  .option('--only <ids>', 'some of them: ID,ID, or the beginnings of names', chosen)
  .option('--seeds <n>', 'for each, at most', natural(1, 10_000_000), 5000)
  .option('--seconds <n>', 'for each, at most', natural(1, 86_400), 120)
  .option('--json', 'one object a mutant, the summary last')
  .addHelpText('after', '\nExit codes: 0 all were caught, 1 one survived, 2 wrong usage, 3 it could not go on.');

function chosen(only: string): readonly Mutant[] {
  return only.split(',').flatMap((name) => {
    const found = mutants.filter(({ id }) => id === name || id.startsWith(`${name}-`));
    if (found.length === 0) throw new InvalidArgumentError(`there is no mutant ${name}`);
    return found;
  });
}

async function main(): Promise<number> {
  const { only = mutants, json = false, ...bounds } = command.opts<Flags>();
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  const bench = await Workbench.open(repository);
  process.once('exit', () => bench.close());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const verdicts: Verdict[] = [];
  for (const [i, mutant] of only.entries()) {
    if (!json && process.stderr.isTTY) process.stderr.write(`\r\x1b[K${i + 1} of ${only.length}: ${mutant.id} …`);
    const verdict = await tryMutant(bench, mutant, bounds);
    verdicts.push(verdict);
    if (!json && process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    if (json) print(JSON.stringify(documentOf(verdict)));
  }
  const survived = verdicts.filter(({ killedBy }) => killedBy === undefined).map(({ mutant }) => mutant.id);
  if (json)
    print(JSON.stringify({ event: 'summary', killed: verdicts.length - survived.length, survived, notApplicable }));
  else for (const line of tableOf(verdicts, notApplicable)) print(line);
  return survived.length === 0 ? 0 : 1;
}

function documentOf({ mutant, killedBy, why, seeds, seconds }: Verdict): object {
  const { id, bug, seen } = mutant;
  return { event: 'mutant', id, bug, seen, killedBy, why, seeds, seconds: Math.round(seconds * 10) / 10 };
}

await runTool(command, main);
