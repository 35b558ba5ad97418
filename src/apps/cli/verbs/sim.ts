/** `cairn sim`: the simulator, loaded only here. */
import { CairnError } from '../../../core/base/errors.ts';
import type { Invocation } from '../invocation.ts';
import { printLine } from '../output.ts';

const seedMax = 2 ** 31;

interface Flags {
  readonly seeds: number;
  readonly start: number;
  readonly verbose?: boolean;
}

/** @throws CairnError USAGE */
function spanOf(
  [action, seed]: readonly string[],
  { seeds, start }: Flags,
): { readonly start: number; readonly seeds: number } {
  if (action === 'run' && seed === undefined) return { start, seeds };
  if (action !== 'run' && action !== 'replay')
    throw new CairnError('USAGE', `there is no action ${action}; it is run or replay; see \`cairn sim --help\``);
  if (action === 'run' || seed === undefined)
    throw new CairnError('USAGE', 'run takes --seeds and --start, replay one seed; see `cairn sim --help`');
  if (!/^\d+$/.test(seed) || Number(seed) > seedMax)
    throw new CairnError('USAGE', `${seed} is no seed; give a whole number up to ${seedMax}`);
  return { start: Number(seed), seeds: 1 };
}

export async function run({ args, options, json }: Invocation): Promise<void> {
  const flags = options as unknown as Flags;
  const span = spanOf(args, flags);
  const { simulate } = await import('../../../lab/simulator/simulate.ts');
  const { failed } = await simulate({ ...span, json, verbose: flags.verbose === true && span.seeds === 1 }, printLine);
  if (failed.length > 0) process.exitCode = 1;
}
