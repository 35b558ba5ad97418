/** Copying many files at once: a bound on how many, failures gathered, one summary. */
import { CairnError, type ErrorCode, toCairnError } from '../../../core/base/errors.ts';
import { errorDocument, formatBytes, formatCount, oneLine, printJson, printLine } from '../output.ts';
import { isInterrupted } from './interrupt.ts';
import { openProgress, type Progress } from './progress.ts';
import { TakenTargets } from './targets.ts';

export interface CopyItem {
  readonly from: string;
  readonly to: string;
  readonly size: number;
}

export interface Skipped {
  readonly path: string;
  readonly why: CairnError;
}

/** What ails the cluster, and not one file. */
const ofTheCluster: ReadonlySet<ErrorCode> = new Set([
  'NO_QUORUM',
  'NO_SERVERS',
  'DISK_FULL',
  'TIMED_OUT',
  'UNKNOWN_OUTCOME',
]);
/** After so many of these in a row no other file is begun: each would fail as well, and take its whole time for that. */
const inARowMax = 8;

/** Copies each item with `copyOne`, `parallel` at a time; goes on after a failure and reports all of them at the end. */
export async function copyAll(
  items: readonly CopyItem[],
  skipped: readonly Skipped[],
  settings: { readonly parallel: number; readonly json: boolean },
  copyOne: (item: CopyItem, progress: Progress) => Promise<number>,
): Promise<void> {
  const failures = [...skipped];
  const totalBytes = items.reduce((sum, { size }) => sum + size, 0);
  const progress = await openProgress(totalBytes, items.length, settings.json);
  const taken = new TakenTargets();
  const startedAt = Date.now();
  let next = 0;
  let files = 0;
  let bytes = 0;
  let inARow = 0;
  const goesOn = (): boolean => !isInterrupted() && inARow < inARowMax;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined && goesOn(); item = items[next++]) {
      try {
        taken.take(item.to, item.from);
        const size = await copyOne(item, progress);
        bytes += size;
        files += 1;
        inARow = 0;
        progress.fileDone();
        if (settings.json) printJson({ from: item.from, to: item.to, bytes: size });
      } catch (thrown) {
        const why = toCairnError(thrown);
        failures.push({ path: item.from, why });
        inARow = ofTheCluster.has(why.code) ? inARow + 1 : 0;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(settings.parallel, items.length) }, worker));
  progress.stop();
  const seconds = (Date.now() - startedAt) / 1000;
  const untried = items.length + skipped.length - files - failures.length;
  if (settings.json) printJson({ event: 'summary', files, bytes, failed: failures.length + untried, seconds });
  else if (items.length + skipped.length !== 1)
    printLine(`${formatCount(files, 'file')}, ${formatBytes(bytes)} in ${seconds.toFixed(1)} s`);
  throwFailures(failures, untried, settings.json);
}

/** Failures that are told one by one; the error at the end counts the others. */
const toldMax = 20;

/** One failure as it is; several as one error that tells how many, and the first. */
function throwFailures(failures: readonly Skipped[], untried: number, json: boolean): void {
  const [first] = failures;
  if (first === undefined) return;
  if (failures.length === 1) throw first.why;
  if (json) for (const { path, why } of failures) process.stderr.write(`${JSON.stringify(errorDocument(why, path))}\n`);
  else
    for (const { why } of failures.slice(0, toldMax)) process.stderr.write(`  [${why.code}] ${oneLine(why.message)}\n`);
  const left = untried === 0 ? '' : `, ${untried} of them not tried any more`;
  throw new CairnError(
    first.why.code,
    `${failures.length + untried} files were not copied${left}; the first: ${first.why.message}`,
  );
}

/** An error of the local file system, in the words of the table. */
export function localError(path: string, doing: string, cause: unknown): CairnError {
  if (cause instanceof CairnError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const why: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of the path is not a directory',
    EEXIST: 'it exists already',
    ENOSPC: 'the local disk is full',
    ELOOP: 'its symbolic links go round in a circle',
    ENAMETOOLONG: 'a name is too long for the local file system',
    EROFS: 'the local file system is read-only',
    EMFILE: 'this process has as many files and connections open as it may; raise its limit (ulimit -n)',
    ...(doing === 'write' ? { ENOENT: 'its directory does not exist; make it first' } : {}),
  };
  return new CairnError('LOCAL_IO', `cannot ${doing} ${path}: ${why[code ?? ''] ?? message}`, { cause });
}
