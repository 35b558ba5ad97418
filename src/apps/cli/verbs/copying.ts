/** Copying many files at once: a bound on how many, failures gathered, one summary. */
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
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
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined && !isInterrupted(); item = items[next++]) {
      try {
        taken.take(item.to, item.from);
        const size = await copyOne(item, progress);
        bytes += size;
        files += 1;
        progress.fileDone();
        if (settings.json) printJson({ from: item.from, to: item.to, bytes: size });
      } catch (thrown) {
        failures.push({ path: item.from, why: toCairnError(thrown) });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(settings.parallel, items.length) }, worker));
  progress.stop();
  const seconds = (Date.now() - startedAt) / 1000;
  if (settings.json) printJson({ event: 'summary', files, bytes, failed: failures.length, seconds });
  else if (items.length + skipped.length !== 1)
    printLine(`${formatCount(files, 'file')}, ${formatBytes(bytes)} in ${seconds.toFixed(1)} s`);
  throwFailures(failures, settings.json);
}

/** Failures that are told one by one; the error at the end counts the others. */
const toldMax = 20;

/** One failure as it is; several as one error that tells how many, and the first. */
function throwFailures(failures: readonly Skipped[], json: boolean): void {
  const [first] = failures;
  if (first === undefined) return;
  if (failures.length === 1) throw first.why;
  if (json) for (const { path, why } of failures) process.stderr.write(`${JSON.stringify(errorDocument(why, path))}\n`);
  else
    for (const { why } of failures.slice(0, toldMax)) process.stderr.write(`  [${why.code}] ${oneLine(why.message)}\n`);
  throw new CairnError(first.why.code, `${failures.length} files were not copied; the first: ${first.why.message}`);
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
    ...(doing === 'write' ? { ENOENT: 'its directory does not exist; make it first' } : {}),
  };
  return new CairnError('LOCAL_IO', `cannot ${doing} ${path}: ${why[code ?? ''] ?? message}`, { cause });
}
