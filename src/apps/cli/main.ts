/** The program: parses the command line, loads the one verb that is meant, reports errors. */
import { CommanderError } from 'commander';
import { CairnError } from '../../core/base/errors.ts';
import { reportError } from './output.ts';
import { makeProgram } from './program.ts';

async function main(argv: readonly string[]): Promise<void> {
  // A reader that goes away (`cairn ls | head`) ends us quietly, as it does every program.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const json = argv.includes('--json');
  try {
    await makeProgram().parseAsync(argv);
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) reportError(thrown, json);
    else if (thrown.exitCode !== 0) reportError(usage(thrown), json);
  }
}

function usage(error: CommanderError): CairnError {
  const what = error.message.replace(/^error: /, '').replace(/\.?\s*$/, '');
  const explained = error.code === 'commander.help' ? 'a verb is missing' : what;
  return new CairnError('USAGE', `${explained}; see \`cairn --help\``);
}

await main(process.argv);
