/** The verbs that show and change the tree. */
import { type Command, Option } from 'commander';
import { age, natural, size } from './arguments.ts';
import { clusterVerb, withSettings, withStale } from './define-verb.ts';

export function addTree(program: Command): void {
  const ls = clusterVerb(
    program,
    'ls [path...]',
    'list directories',
    'cairn ls -l /logs',
    () => import('../verbs/ls.ts'),
  )
    .option('-l, --long', 'with size, time and copies')
    .option('-R, --recursive', 'and all below');
  withStale(ls);
  const stat = clusterVerb(
    program,
    'stat <path...>',
    'everything about a file or directory',
    'cairn stat /logs/today',
    () => import('../verbs/stat.ts'),
  );
  withStale(stat);
  addFind(program);
  const mkdir = clusterVerb(
    program,
    'mkdir <path...>',
    'make directories',
    'cairn mkdir -p /a/b/c',
    () => import('../verbs/mkdir.ts'),
  ).option('-p, --parents', 'and missing parents; no error if it exists');
  withSettings(mkdir);
  clusterVerb(
    program,
    'set <path> <key=value...>',
    'change settings of a file, or of what will be made in a directory',
    'cairn set /logs mode=async factor=2',
    () => import('../verbs/set.ts'),
  );
  clusterVerb(
    program,
    'snapshot <from> <to>',
    'a copy of a file or tree as it is now, at once; it shares what neither has changed',
    'cairn snapshot /data /backup/monday',
    () => import('../verbs/snapshot.ts'),
  );
  clusterVerb(program, 'rm <path...>', 'remove files, or trees', 'cairn rm -r /old', () => import('../verbs/rm.ts'))
    .option('-r, --recursive', 'directories with all below')
    .option('-f, --force', 'no error if it is missing')
    .option('--no-trash', 'for good, not into the trash');
  clusterVerb(
    program,
    'trash <action> [what] [to]',
    'what was removed: ls, restore ID|PATH [TO], empty [ID]',
    'cairn trash restore /logs/today',
    () => import('../verbs/trash.ts'),
  );
  clusterVerb(
    program,
    'mv <path...>',
    'rename; into a directory if one is there',
    'cairn mv /a /b',
    () => import('../verbs/mv.ts'),
  )
    .usage('[options] <from...> <to>')
    .option('-n, --no-replace', 'fail if the target exists');
  clusterVerb(
    program,
    'cp <path...>',
    'copy within the cluster; into a directory if one is there',
    'cairn cp -r /a /b',
    () => import('../verbs/cp.ts'),
  )
    .usage('[options] <from...> <to>')
    .option('-r, --recursive', 'whole directories')
    .option('-n, --no-replace', 'fail if the target exists');
  clusterVerb(
    program,
    'du [path...]',
    'bytes and files below a path',
    'cairn du /photos',
    () => import('../verbs/du.ts'),
  );
}

function addFind(program: Command): void {
  const find = clusterVerb(
    program,
    'find [path...]',
    'what is below a path, by name, kind, size and time',
    "cairn find /logs --name '*.log' --larger 1MiB --older 7d",
    () => import('../verbs/find.ts'),
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
