/** How the program speaks: text for people, JSON for programs, one line for an error. */
import { type CairnError, errorTable, toCairnError } from '../../core/base/errors.ts';

export interface GlobalOptions {
  readonly cluster?: string;
  readonly json?: boolean;
}

/** One JSON document, or one of a few objects: a stream is written at the pace of its reader (`verbs/stdout.ts`). */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/**
 * Prints the one line and sets the exit code of the error table, that of the first error if there are several. With `json` the line is an
 * object on stderr, with `path` where it is one of many.
 */
export function reportError(thrown: unknown, json: boolean, path?: string): void {
  const error = toCairnError(thrown);
  if (process.exitCode === undefined || process.exitCode === 0) process.exitCode = errorTable[error.code].exit;
  if (json) process.stderr.write(`${JSON.stringify(errorDocument(error, path))}\n`);
  else process.stderr.write(`cairn: [${error.code}] ${oneLine(error.message)}\n`);
  if (error.code === 'INTERNAL' && process.env.CAIRN_DEBUG !== undefined) process.stderr.write(`${stackOf(error)}\n`);
}

function stackOf(error: CairnError): string {
  return error.cause instanceof Error ? (error.cause.stack ?? '') : (error.stack ?? '');
}

/** An error for programs; `path` where it is one of many. */
export function errorDocument(error: CairnError, path?: string): object {
  return { ...(path === undefined ? {} : { path }), error: { code: error.code, message: oneLine(error.message) } };
}

/** Nothing that comes from outside, a file name above all, may break the line or speak to the terminal. */
export function oneLine(text: string): string {
  return text
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** A name as it is for programs; on a terminal without what would move its cursor. */
export function formatName(name: string): string {
  return process.stdout.isTTY ? oneLine(name) : name;
}

/** 1 → "1 file", 2 → "2 files". */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let step = 0;
  while (value >= 1024 && step < steps.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${steps[step]}`;
}

/** A number, with its unit if it has one; or that there is none. */
const quantity = /^(?:-|\d+(?:\.\d+)?(?: (?:B|[KMGTP]iB|ms))?)$/;

/** Rows of text in aligned columns; quantities to the right. */
export function formatTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const right = header.map((_, column) => rows.length > 0 && rows.every((row) => quantity.test(String(row[column]))));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
