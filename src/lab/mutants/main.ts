/**
 * `npm run mutants`: applies known bugs of consensus implementations to a copy of the sources, one at a time, and lets the simulator find
 * them. One that survives means that the simulator is too weak.
 *
 *     npm run mutants                          all of them
 *     npm run mutants -- --only ID,ID          some
 *     … --seeds N --seconds S                  bounds for each (5000, 120)
 *     … --json                                 one object a mutant, the summary last
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutants } from './catalogue.ts';
import type { Mutant } from './mutant.ts';
import { notApplicable } from './not-applicable.ts';
import { tableOf } from './table.ts';
import { tryMutant, type Verdict } from './trial.ts';
import { Workbench } from './workbench.ts';

const repository = resolve(fileURLToPath(new URL('..', import.meta.url)));

function optionsOf(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      seeds: { type: 'string', default: '5000' },
      seconds: { type: 'string', default: '120' },
      json: { type: 'boolean', default: false },
    },
  });
  return {
    chosen: chosen(values.only),
    seeds: Number(values.seeds),
    seconds: Number(values.seconds),
    json: values.json,
  };
}

/** @throws Error when a name is unknown */
function chosen(only: string | undefined): readonly Mutant[] {
  if (only === undefined) return mutants;
  return only.split(',').flatMap((name) => {
    const found = mutants.filter(({ id }) => id === name || id.startsWith(`${name}-`));
    if (found.length === 0) throw new Error(`there is no mutant ${name}`);
    return found;
  });
}

async function main(): Promise<number> {
  const { chosen, json, ...bounds } = optionsOf(process.argv.slice(2));
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  const bench = await Workbench.open(repository);
  process.once('exit', () => bench.close());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const verdicts: Verdict[] = [];
  for (const [i, mutant] of chosen.entries()) {
    if (!json && process.stderr.isTTY) process.stderr.write(`\r\x1b[K${i + 1} of ${chosen.length}: ${mutant.id} …`);
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

try {
  process.exitCode = await main();
} catch (thrown) {
  process.stderr.write(`mutants: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 2;
}
