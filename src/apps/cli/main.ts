/** The program: parses the command line, loads the one verb that is meant, reports errors. */
import { isUtf8 } from 'node:buffer';
import { existsSync, readFileSync } from 'node:fs';
import { type Command, CommanderError } from 'commander';
import { CairnError, errorTable } from '../../core/base/errors.ts';
import { reportError } from './output.ts';
import { makeProgram } from './program.ts';
import { endTidily, isInterrupted } from './verbs/interrupt.ts';

const rolesThatLogStacks: ReadonlySet<string> = new Set(['master', 'chunkserver']);
const asTyped = '/proc/self/cmdline';
const optionsWithValue: ReadonlySet<string> = new Set(['--cluster', '--timeout']);
const optionsOfAll: ReadonlySet<string> = new Set(['--json', ...optionsWithValue]);

async function main(argv: readonly string[]): Promise<void> {
  const words = argv.slice(2);
  const options = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  const json = options.includes('--json');
  endWithItsReader(json);
  process.on('uncaughtException', (thrown) => endAtOnce(thrown, json, words[0]));
  try {
    refuseOtherBytes(words);
    const program = makeProgram();
    await program.parseAsync(helpAsOption(program, words), { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) reportError(thrown, json);
  }
  // What a failed start leaves open (a store, a listener, a terminal that is read) must not keep a process that has said its last word.
  // That the last of what was written failed is told behind the callback of what comes after it.
  process.stdout.write('', () => setImmediate(() => isInterrupted() || process.exit()));
}

/** Node reads bytes that are no UTF-8 as U+FFFD, which is another name than the one that was typed. Linux tells what was. */
function refuseOtherBytes(words: readonly string[]): void {
  const word = words.find((one) => one.includes('\ufffd'));
  if (word === undefined || !existsSync(asTyped) || isUtf8(readFileSync(asTyped))) return;
  throw new CairnError(
    'USAGE',
    `'${word}' is not valid UTF-8 as it was typed, and names are; copy the directory it is in, or rename it`,
  );
}

/**
 * `help VERB` becomes `VERB --help`, and a verb that is missing or unknown is an error whatever else is said: commander would show the
 * general help for `statsu --help`, as if all were well.
 */
function helpAsOption(program: Command, words: readonly string[]): readonly string[] {
  const at = verbAt(words);
  const verb = words[at];
  if (verb === undefined) {
    if (words.some((word) => word.startsWith('-') && !optionsOfAll.has(word))) return words; // help, version, or a mistake
    if (words.includes('--json')) throw new CairnError('USAGE', 'a verb is missing; `cairn --help` lists them');
    process.stderr.write(`${program.helpInformation()}\n`);
    throw new CairnError('USAGE', 'a verb is missing; choose one of those above');
  }
  if (verb === 'help')
    return words[at + 1] === undefined ? ['--help'] : helpAsOption(program, [words[at + 1]!, '--help']);
  return program.commands.some((command) => command.name() === verb) ? words : [verb];
}

/** Where the verb stands: the first word that is no option, nor an option's value. */
function verbAt(words: readonly string[]): number {
  for (let at = 0; at < words.length; at++) {
    if (!words[at]!.startsWith('-')) return at;
    if (optionsWithValue.has(words[at]!)) at += 1;
  }
  return words.length;
}

/** A reader that goes away (`cairn cat | head`) ends us quietly, as it does every program; a full disk does not. */
function endWithItsReader(json: boolean): void {
  const further = (): void => {}; // each write that was on its way fails as well
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    process.stdout.on('error', further);
    if (error.code === 'EPIPE') return endTidily(0);
    reportError(new CairnError('LOCAL_IO', `cannot write to stdout: ${error.message}`, { cause: error }), json);
    endTidily(Number(process.exitCode)); // of the first error, which may have been another
  });
  process.stderr.on('error', () => process.exit(Number(process.exitCode ?? 0) || errorTable.LOCAL_IO.exit)); // nobody is left to be told
}

/** A mistake of ours, thrown where nobody waits: the state of this process cannot be trusted. */
function endAtOnce(thrown: unknown, json: boolean, verb: string | undefined): never {
  reportError(thrown, json);
  if (rolesThatLogStacks.has(verb ?? '')) process.stderr.write(`${thrown instanceof Error ? thrown.stack : thrown}\n`);
  process.exit(typeof process.exitCode === 'number' ? process.exitCode : errorTable.INTERNAL.exit);
}

await main(process.argv);
