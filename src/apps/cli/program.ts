/**
 * The verbs of `cairn`, with their help. Each verb's code is loaded only when it is called, so that `--help` answers at once.
 */
import { Command } from 'commander';
import { seconds } from './commands/arguments.ts';
import { asUsage, clusterHelp, helpHelp, jsonHelp, timeoutHelp } from './commands/define-verb.ts';
import { addFiles } from './commands/files.ts';
import { addOperating } from './commands/operating.ts';
import { addRunning } from './commands/running.ts';
import { addTree } from './commands/tree.ts';
import { addTrying } from './commands/trying.ts';

export function makeProgram(): Command {
  const program = new Command('cairn')
    .description('A distributed file system: files on several machines, appended by many, none lost.')
    .version(programVersion, '-V, --version')
    .option('--json', jsonHelp)
    .option('--cluster <url>', clusterHelp)
    .option('--timeout <seconds>', timeoutHelp, seconds)
    .helpOption('-h, --help', helpHelp)
    .helpCommand(false) // `cairn help VERB` is known to main.ts, and named below
    .configureHelp({ subcommandTerm: (verb) => `${verb.name()} ${verb.usage().replace(/\[options\] ?/, '')}` })
    .usage('[options] <verb> …')
    .enablePositionalOptions()
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .showSuggestionAfterError(true)
    .exitOverride(asUsage('cairn --help'))
    .addHelpText('after', `\n${environmentHelp}`);
  addRunning(program.commandsGroup('Running a cluster:'));
  addFiles(program.commandsGroup('Files:'));
  addTree(program.commandsGroup('The tree:'));
  addOperating(program.commandsGroup('Operating:'));
  addTrying(program.commandsGroup('Trying to break it:'));
  return program;
}

declare const CAIRN_VERSION: string | undefined;
const programVersion = typeof CAIRN_VERSION === 'string' ? CAIRN_VERSION : 'development';

const environmentHelp = `The cluster is found by --cluster, else by CAIRN_CLUSTER, else on this machine
where \`cairn up\` puts it: cairn://127.0.0.1:7070.
\`cairn help VERB\`, or \`cairn VERB --help\`, tells more, with an example.
Exit codes: 0 ok, 1 unexpected, 2 usage, 3 bad argument, 4 not found, 5 exists,
6 wrong kind, 7 unavailable, 8 unknown outcome, 9 aborted, 10 damaged data,
11 disk full, 12 cannot start, 13 protocol, 14 local file.`;
