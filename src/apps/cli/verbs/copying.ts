/** Copying many files at once: a bound on how many, failures gathered, one summary. */
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { formatBytes, printJson, printLine } from '../output.ts';
import { openProgress, type Progress } from './progress.ts';

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
  const startedAt = Date.now();
  let next = 0;
  let files = 0;
  let bytes = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) {
      try {
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
  else if (items.length !== 1 || failures.length > 0)
    printLine(`${files} files, ${formatBytes(bytes)} in ${seconds.toFixed(1)} s`);
  throwFailures(failures);
}

/** One failure as it is; several as one error that tells how many, and the first. */
function throwFailures(failures: readonly Skipped[]): void {
  const [first] = failures;
  if (first === undefined) return;
  if (failures.length === 1) throw first.why;
  for (const { path, why } of failures.slice(0, 20)) process.stderr.write(`  ${path}: [${why.code}] ${why.message}\n`);
  throw new CairnError(
    first.why.code,
    `${failures.length} files were not copied; the first, ${first.path}: ${first.why.message}`,
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
  };
  return new CairnError('LOCAL_IO', `cannot ${doing} ${path}: ${why[code ?? ''] ?? message}`, { cause });
}
