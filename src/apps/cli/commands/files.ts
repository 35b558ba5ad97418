/** The verbs that move bytes. */
import type { Command } from 'commander';
import { natural } from './arguments.ts';
import { clusterVerb, withSettings } from './define-verb.ts';

export function addFiles(program: Command): void {
  addCopying(program);
  addFollowing(program);
  addTruncate(program);
}

function addCopying(program: Command): void {
  const put = clusterVerb(
    program,
    'put <local...>',
    'copy local files in; the last argument is where to; - is stdin',
    'cairn put -r ./photos /photos',
    () => import('../verbs/put.ts'),
  )
    .usage('[options] <local...> <path>')
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
    () => import('../verbs/get.ts'),
  )
    .usage('[options] <path...> <local>')
    .option('-r, --recursive', 'whole directories')
    .option('-n, --no-replace', 'fail where a local file exists already')
    .option('--parallel <n>', 'files at once', natural(1, 64), 8);
  clusterVerb(
    program,
    'cat <path...>',
    'write files to stdout',
    'cairn cat /logs/today',
    () => import('../verbs/cat.ts'),
  )
    .option('--offset <bytes>', 'begin here', natural(0, Number.MAX_SAFE_INTEGER), 0)
    .option('--length <bytes>', 'at most this much', natural(0, Number.MAX_SAFE_INTEGER));
  const append = clusterVerb(
    program,
    'append <path> [local]',
    'append a local file, or stdin, to a file; many may append at once',
    'echo hello | cairn append /logs/today -',
    () => import('../verbs/append.ts'),
  )
    .option('--lines', 'each line of the input is one record: never split, never mixed with others')
    .option('--records', 'each line becomes a record with a head, for `cairn tail --records` and the client')
    .option('-c, --create', 'make the file if it is missing (the default)', true)
    .option('--no-create', 'fail if the file is missing');
  withSettings(append);
}

function addFollowing(program: Command): void {
  clusterVerb(
    program,
    'tail <path>',
    'the end of a file, and what comes',
    'cairn tail -f /logs/today',
    () => import('../verbs/tail.ts'),
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
    () => import('../verbs/truncate.ts'),
  )
    .requiredOption('-s, --size <bytes>', 'how long', natural(0, Number.MAX_SAFE_INTEGER))
    .option('-c, --create', 'make a file that is missing');
}
