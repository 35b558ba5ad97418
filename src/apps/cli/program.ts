/**
 * The verbs of `cairn`, with their help. Each verb's code is loaded only when it is called, so that `--help` answers at once.
 */
import { Command, type CommanderError, InvalidArgumentError, Option } from 'commander';
import { CairnError } from '../../core/base/errors.ts';
import type { Verb } from './invocation.ts';
import { parseSize } from './verbs/file-settings.ts';

type LoadVerb = () => Promise<{ run: Verb }>;

export function makeProgram(): Command {
  const program = new Command('cairn')
    .description('A distributed file system: files on several machines, appended by many, none lost.')
    .version(programVersion, '-V, --version')
    .option('--json', jsonHelp)
    .option('--cluster <url>', clusterHelp)
    .option('--timeout <seconds>', timeoutHelp, seconds)
    .enablePositionalOptions()
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .showSuggestionAfterError(true)
    .exitOverride(asUsage('cairn --help'))
    .addHelpText('after', `\n${environmentHelp}`);
  addRunning(program);
  addFiles(program);
  addFollowing(program);
  addTruncate(program);
  addTree(program);
  addOperating(program);
  return program;
}

declare const CAIRN_VERSION: string | undefined;
const programVersion = typeof CAIRN_VERSION === 'string' ? CAIRN_VERSION : 'development';

const jsonHelp = 'print JSON: one document, or one object a line';
const clusterHelp = 'cairn://host:port,…: some or all of its masters';
const timeoutHelp = 'give up when nothing has moved for so long (default: 15)';
const timeoutMaxSeconds = 86_400;

const environmentHelp = `The cluster is found by --cluster, else by CAIRN_CLUSTER, else on this machine where \`cairn up\` puts it: cairn://127.0.0.1:7070.
\`cairn help VERB\`, or \`cairn VERB --help\`, tells more, with an example.
Exit codes: 0 ok, 1 unexpected, 2 usage, 3 bad argument, 4 not found, 5 exists, 6 wrong kind, 7 unavailable,
8 unknown outcome, 9 aborted, 10 damaged data, 11 disk full, 12 cannot start, 13 protocol, 14 local file.`;

function natural(min: number, max: number): (text: string) => number {
  return (text) => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < min || n > max)
      throw new InvalidArgumentError(`give a whole number from ${min} to ${max}`);
    return n;
  };
}

function seconds(text: string): number {
  const n = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || n <= 0 || n > timeoutMaxSeconds)
    throw new InvalidArgumentError(`give seconds, more than 0 and at most ${timeoutMaxSeconds}`);
  return n;
}

function milliseconds(text: string): number {
  return seconds(text) * 1000;
}

const ageUnits: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function age(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  if (match === null) throw new InvalidArgumentError('give an age such as 90s, 15m, 12h or 7d');
  return Number(match[1]) * ageUnits[match[2]!]!;
}

/** Commander's complaints as ours; that help or the version was printed passes through. */
function asUsage(help: string): (error: CommanderError) => never {
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
function verb(program: Command, usage: string, description: string, example: string, load: LoadVerb): Command {
  const command = program
    .command(usage)
    .description(description)
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
function clusterVerb(program: Command, usage: string, description: string, example: string, load: LoadVerb): Command {
  return verb(program, usage, description, example, load)
    .option('--cluster <url>', clusterHelp)
    .option('--timeout <seconds>', timeoutHelp, seconds);
}

function addRunning(program: Command): void {
  verb(
    program,
    'up',
    'start a whole cluster on this machine; Ctrl-C stops it, its data stay',
    'cairn up --dir ./data --chunkservers 4',
    () => import('./verbs/up.ts'),
  )
    .option('--dir <dir>', 'where its data are kept', '.cairn')
    .addOption(
      new Option('--engine <name>', 'consensus engine of a new directory (default: raft)').choices(['raft', 'paxos']),
    )
    .addOption(
      new Option('--elector <name>', 'how a leader is found (default: timeout)').choices(['timeout', 'ballot']),
    )
    .option('--masters <n>', 'masters', natural(1, 9), 3)
    .option('--chunkservers <n>', 'chunkservers', natural(1, 64), 3)
    .option('--port-base <port>', 'first port: masters from here, chunkservers from +10', natural(1, 65_400), 7070)
    .option('--config <file>', 'a cairn.yaml with further settings');
  for (const role of ['master', 'chunkserver'] as const) {
    verb(
      program,
      role,
      `run one ${role}, as its configuration says`,
      `cairn ${role} --config /etc/cairn/cairn.yaml`,
      () => (role === 'master' ? import('./verbs/master.ts') : import('./verbs/chunkserver.ts')),
    ).requiredOption('--config <file>', 'its cairn.yaml');
  }
}

function addFiles(program: Command): void {
  const put = clusterVerb(
    program,
    'put <local...>',
    'copy local files in; the last argument is where to; - is stdin',
    'cairn put -r ./photos /photos',
    () => import('./verbs/put.ts'),
  )
    .option('-r, --recursive', 'whole directories')
    .option('-p, --parents', 'make missing parent directories')
    .option('-n, --no-replace', 'fail where a file exists already')
    .option('--parallel <n>', 'files at once', natural(1, 64), 8);
  withSettings(put);
  clusterVerb(
    program,
    'get <path...>',
    'copy files out; the last argument is where to; - is stdout',
    'cairn get -r /photos ./photos',
    () => import('./verbs/get.ts'),
  )
    .option('-r, --recursive', 'whole directories')
    .option('-n, --no-replace', 'fail where a local file exists already')
    .option('--parallel <n>', 'files at once', natural(1, 64), 8);
  clusterVerb(
    program,
    'cat <path...>',
    'write files to stdout',
    'cairn cat /logs/today',
    () => import('./verbs/cat.ts'),
  )
    .option('--offset <bytes>', 'begin here', natural(0, Number.MAX_SAFE_INTEGER), 0)
    .option('--length <bytes>', 'at most this much', natural(0, Number.MAX_SAFE_INTEGER));
  const append = clusterVerb(
    program,
    'append <path> [local]',
    'append a local file, or stdin, to a file; many may append at once',
    'echo hello | cairn append /logs/today -',
    () => import('./verbs/append.ts'),
  )
    .option('--lines', 'each line of the input is one record: never split, never mixed with others')
    .option('--records', 'each line becomes a record with a head, for `cairn tail --records` and the client')
    .option('-c, --create', 'make the file if it is missing (the default)', true)
    .option('--no-create', 'fail if the file is missing');
  withSettings(append);
}

/** Of the files and directories that a verb makes; what is not given comes from the directory above. */
function withSettings(command: Command): void {
  command
    .addOption(new Option('--mode <mode>', 'what a success means').choices(['strong', 'gfs', 'async']))
    .addOption(new Option('--durability <what>', 'where it is held then').choices(['memory', 'disk']))
    .option('--factor <n>', 'copies of each chunk', natural(1, 16))
    .option('--min-replicas <n>', 'no mutation succeeds on fewer copies', natural(1, 16))
    .option('--chunk-size <size>', 'such as 64MiB', size);
}

function withStale(command: Command): void {
  command
    .option('--stale', 'from any master, though it may be a little old; it says how old')
    .option('--max-age <seconds>', 'the same, but an error if it may be older than that', milliseconds);
}

function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined) throw new InvalidArgumentError('give a size such as 64MiB');
  return bytes;
}

function addFollowing(program: Command): void {
  clusterVerb(
    program,
    'tail <path>',
    'the end of a file, and what comes',
    'cairn tail -f /logs/today',
    () => import('./verbs/tail.ts'),
  )
    .option('-f, --follow', 'go on with what is appended, for ever')
    .option('-n, --number <lines>', 'begin with the last so many lines, or records', natural(0, 1_000_000_000), 10)
    .option('-c, --bytes <bytes>', 'begin with the last so many bytes', natural(0, Number.MAX_SAFE_INTEGER))
    .option('--from <position>', 'begin at this byte', natural(0, Number.MAX_SAFE_INTEGER))
    .option('--records', 'the records that `append --records` has written, a line each');
}

function addTruncate(program: Command): void {
  clusterVerb(
    program,
    'truncate <path...>',
    'make files so long: shorter, or longer with zeros',
    'cairn truncate -s 0 /logs/today',
    () => import('./verbs/truncate.ts'),
  )
    .requiredOption('-s, --size <bytes>', 'how long', natural(0, Number.MAX_SAFE_INTEGER))
    .option('-c, --create', 'make a file that is missing');
}

function addTree(program: Command): void {
  const ls = clusterVerb(
    program,
    'ls [path...]',
    'list directories',
    'cairn ls -l /logs',
    () => import('./verbs/ls.ts'),
  )
    .option('-l, --long', 'with size, time and copies')
    .option('-R, --recursive', 'and all below');
  withStale(ls);
  const stat = clusterVerb(
    program,
    'stat <path...>',
    'everything about a file or directory',
    'cairn stat /logs/today',
    () => import('./verbs/stat.ts'),
  );
  withStale(stat);
  addFind(program);
  const mkdir = clusterVerb(
    program,
    'mkdir <path...>',
    'make directories',
    'cairn mkdir -p /a/b/c',
    () => import('./verbs/mkdir.ts'),
  ).option('-p, --parents', 'and missing parents; no error if it exists');
  withSettings(mkdir);
  clusterVerb(
    program,
    'set <path> <key=value...>',
    'change settings of a file, or of what will be made in a directory',
    'cairn set /logs mode=async factor=2',
    () => import('./verbs/set.ts'),
  );
  clusterVerb(
    program,
    'snapshot <from> <to>',
    'a copy of a file or tree as it is now, at once; it shares what neither has changed',
    'cairn snapshot /data /backup/monday',
    () => import('./verbs/snapshot.ts'),
  );
  clusterVerb(program, 'rm <path...>', 'remove files, or trees', 'cairn rm -r /old', () => import('./verbs/rm.ts'))
    .option('-r, --recursive', 'directories with all below')
    .option('-f, --force', 'no error if it is missing')
    .option('--no-trash', 'for good, not into the trash');
  clusterVerb(
    program,
    'trash <action> [what] [to]',
    'what was removed: ls, restore ID|PATH [TO], empty [ID]',
    'cairn trash restore /logs/today',
    () => import('./verbs/trash.ts'),
  );
  clusterVerb(
    program,
    'mv <from> <to>',
    'rename; into a directory if one is there',
    'cairn mv /a /b',
    () => import('./verbs/mv.ts'),
  ).option('-n, --no-replace', 'fail if the target exists');
  clusterVerb(program, 'cp <from> <to>', 'copy within the cluster', 'cairn cp -r /a /b', () => import('./verbs/cp.ts'))
    .option('-r, --recursive', 'whole directories')
    .option('-n, --no-replace', 'fail if the target exists');
  clusterVerb(
    program,
    'du [path...]',
    'bytes and files below a path',
    'cairn du /photos',
    () => import('./verbs/du.ts'),
  );
}

function addFind(program: Command): void {
  const find = clusterVerb(
    program,
    'find [path...]',
    'what is below a path, by name, kind, size and time',
    "cairn find /logs --name '*.log' --larger 1MiB --older 7d",
    () => import('./verbs/find.ts'),
  )
    .option('--name <pattern>', 'whose name is so: *, ?, [a-z]')
    .option('--path <pattern>', 'whose whole path is so')
    .addOption(new Option('--type <kind>', 'only those').choices(['file', 'directory']))
    .option('--larger <size>', 'files of more bytes, such as 64MiB', size)
    .option('--smaller <size>', 'files of fewer bytes', size)
    .option('--newer <age>', 'changed since so long ago, such as 90s, 15m, 12h, 7d', age)
    .option('--older <age>', 'not changed since so long ago', age)
    .option('--empty', 'files without bytes, directories without entries')
    .option('--max-depth <n>', 'no deeper; 0 is the path itself', natural(0, 4096))
    .option('--limit <n>', 'stop after so many', natural(1, Number.MAX_SAFE_INTEGER))
    .option('-0, --null', 'end each path with a zero byte in place of a new line');
  withStale(find);
}

function addOperating(program: Command): void {
  clusterVerb(program, 'df', 'how full the cluster is', 'cairn df', () => import('./verbs/df.ts'));
  clusterVerb(
    program,
    'status',
    'masters, chunkservers, chunks: is all well?',
    'cairn status --json',
    () => import('./verbs/status.ts'),
  );
  addSim(program);
  addLab(program);
  clusterVerb(
    program,
    'consensus <action> [argument]',
    'the group of masters: status, transfer ID, add ADDRESS, remove ID',
    'cairn consensus transfer 2, or: cairn consensus add 10.0.0.4:7070',
    () => import('./verbs/consensus.ts'),
  );
  clusterVerb(
    program,
    'drain <id>',
    'empty a chunkserver: its chunks go elsewhere, it gets no new ones',
    'cairn drain 3 --wait',
    () => import('./verbs/drain.ts'),
  )
    .option('--undo', 'let it have chunks again')
    .option('--wait', 'until no chunk needs it');
  clusterVerb(program, 'servers', 'the chunkservers', 'cairn servers', () => import('./verbs/servers.ts'));
}

function addSim(program: Command): void {
  clusterVerb(
    program,
    'fsck [path]',
    'what is wrong with the chunks of files',
    'cairn fsck /logs',
    () => import('./verbs/fsck.ts'),
  ).option('--regions <file>', 'where the replicas of this file are the same, and where not');
  clusterVerb(
    program,
    'scrub',
    'how far the search for damaged blocks has come',
    'cairn scrub --now',
    () => import('./verbs/scrub.ts'),
  ).option('--now', 'search all chunkservers now, and wait for the end');
  verb(
    program,
    'sim <action> [seed]',
    'consensus groups and whole clusters in simulated worlds: run many seeds, replay one, minimise one that fails',
    'cairn sim run --engine raft --seeds 1000, or: cairn sim replay 42 --verbose',
    () => import('./verbs/sim.ts'),
  )
    .option('--engine <name>', 'raft or paxos', 'raft')
    .option('--seeds <n>', 'run: how many', natural(1, 10_000_000), 100)
    .option('--start <seed>', 'run: the first', natural(0, 2 ** 31), 1)
    .option('--members <n>', 'voters of a group; else each seed draws', natural(1, 9))
    .option('--elector <name>', 'timeout or ballot; else each seed draws')
    .option('--scenario <name>', 'consensus, cluster, or a file that minimise --out wrote', 'consensus')
    .option('--until-failure', 'run: stop at the first seed that fails')
    .option('--seconds <n>', 'run: stop after so much processor time', natural(1, 86_400))
    .option('--out <file>', 'minimise: write what is left to a file')
    .option('--verbose', 'replay: each step as it happens');
}

function addLab(program: Command): void {
  verb(
    program,
    'lab <experiment>',
    'measure: one experiment, or all; list names them',
    'cairn lab consensus --quick --out ./reports',
    () => import('./verbs/lab.ts'),
  )
    .option('--quick', 'seconds, not minutes: shows that it works, not what is true')
    .option('--out <dir>', 'write report.json and report.html to DIR/EXPERIMENT')
    .option('--runs <n>', 'rounds; in each, every subject has its turn', natural(1, 1000))
    .option('--seconds <s>', 'length of one measurement', seconds)
    .option('--subjects <names>', 'only these, as name,name', (text) => text.split(','))
    .option('--clients <counts>', 'numbers of clients, as n,n', counts)
    .option('--scale <share>', "gfs-fig3: share of the paper's link rates", share)
    .option('--extra-flush <ms>', "added to every flush of Cairn's disks", natural(0, 1000))
    .option('--profile <dir>', 'CPU profiles of the processes of Cairn go there')
    .option('--port-base <port>', 'first of 200 ports to choose from', natural(1, 65_000))
    .option('--scratch <dir>', 'where data lie meanwhile; on the disk that is to be measured');
}

function share(text: string): number {
  const n = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || n < 0.01 || n > 10)
    throw new InvalidArgumentError('give a number from 0.01 to 10');
  return n;
}

function counts(text: string): number[] {
  return text.split(',').map(natural(1, 10_000));
}
