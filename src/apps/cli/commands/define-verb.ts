/** How a verb is declared: the options that all share, its example, and its code, loaded only when it is called. */
import { type Command, type CommanderError, Option } from 'commander';
import { CairnError } from '../../../core/base/errors.ts';
import type { Verb } from '../invocation.ts';
import { milliseconds, natural, seconds, size } from './arguments.ts';

type LoadVerb = () => Promise<{ run: Verb }>;

export const helpHelp = 'show this help';
export const jsonHelp = 'print JSON: one document, or one object a line';
export const clusterHelp = 'cairn://host:port,…: some or all of its masters';
export const timeoutHelp = 'give up when nothing has moved for so long (default: 15)';

/** Commander's complaints as ours; that help or the version was printed passes through. */
export function asUsage(help: string): (error: CommanderError) => never {
  return (error) => {
    if (error.exitCode === 0) throw error;
    const what = error.message
      .replace(/^error: /, '')
      .replace(/ is invalid\. /, ' is invalid: ')
      .replace('unknown command', 'there is no verb')
      .replace(/\s*\(Did you mean ([^)]*)\)/, '; did you mean $1')
      .replace(/\.?\s*$/, '');
    throw new CairnError('USAGE', what.endsWith('?') ? what : `${what}; see \`${help}\``);
  };
}

/** A verb with the options that all share; `example` is shown by its --help. */
export function verb(program: Command, usage: string, description: string, example: string, load: LoadVerb): Command {
  const command = program
    .command(usage)
    .description(description)
    .helpOption('-h, --help', helpHelp)
    .option('--json', jsonHelp)
    .addHelpText('after', `\nExample:\n  $ ${example}`)
    .exitOverride(asUsage(`cairn ${usage.split(' ')[0]} --help`));
  command.action(async () => {
    const { json, cluster, timeout, ...options } = { ...program.opts(), ...command.opts() } as Record<string, unknown>;
    const { run } = await load();
    await run({
      args: command.args,
      options,
      cluster: cluster as string | undefined,
      deadlineMs: timeout === undefined ? undefined : Number(timeout) * 1000,
      json: json === true,
    });
  });
  return command;
}

/** A verb that talks to a cluster. */
export function clusterVerb(
  program: Command,
  usage: string,
  description: string,
  example: string,
  load: LoadVerb,
): Command {
  return verb(program, usage, description, example, load)
    .option('--cluster <url>', clusterHelp)
    .option('--timeout <seconds>', timeoutHelp, seconds);
}

/** Of the files and directories that a verb makes; what is not given comes from the directory above. */
export function withSettings(command: Command): void {
  command
    .addOption(new Option('--mode <mode>', 'what a success means').choices(['strong', 'gfs', 'async']))
    .addOption(new Option('--durability <what>', 'where it is held then').choices(['memory', 'disk']))
    .option('--factor <n>', 'copies of each chunk', natural(1, 16))
    .option('--min-replicas <n>', 'no mutation succeeds on fewer copies', natural(1, 16))
    .option('--chunk-size <size>', 'such as 64MiB', size);
}

export function withStale(command: Command): void {
  command
    .option('--stale', 'from any master, though it may be a little old; it says how old')
    .option('--max-age <seconds>', 'the same, but an error if it may be older than that', milliseconds);
}
