/** What the programs behind `npm run bench`, `sim`, `kills` and `mutants` share: one way to read options, to explain them, and to end. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';

const wrongUsage = 2;
const brokenOff = 3;

/** @param name after `npm run` */
export function tool(name: string, summary: string): Command {
  return new Command(`npm run ${name} --`)
    .description(summary)
    .helpOption('-h, --help', 'this')
    .allowExcessArguments(false)
    .showHelpAfterError(`see \`npm run ${name} -- --help\``)
    .exitOverride();
}

/** An option's argument: a whole number. */
export function natural(min: number, max: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < min || n > max)
      throw new InvalidArgumentError(`give a whole number from ${min} to ${max}`);
    return n;
  };
}

/**
 * Reads the command line and ends with what `main` returns; 2 after wrong usage, 3 when `main` throws, which is no finding of its own; 0 when help was
 * asked for or whoever reads has seen enough.
 */
export async function runTool(command: Command, main: (args: readonly string[]) => Promise<number>): Promise<void> {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0); // `npm run sim -- run | head`
    throw error;
  });
  try {
    command.parse();
    process.exitCode = await main(command.args);
  } catch (thrown) {
    if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : wrongUsage;
    else {
      process.stderr.write(`${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
      process.exitCode = brokenOff;
    }
  }
}
