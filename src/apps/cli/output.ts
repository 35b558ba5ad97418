/** How the program speaks: text for people, JSON for programs, one line for an error. */
import { type CairnError, errorTable, toCairnError } from '../../core/base/errors.ts';

export interface GlobalOptions {
  readonly cluster?: string;
  readonly json?: boolean;
}

/** One JSON document, or one object of a stream. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints the one line and sets the exit code of the error table. With `json` the line is an object on stderr. */
export function reportError(thrown: unknown, json: boolean): void {
  const error = toCairnError(thrown);
  process.exitCode = errorTable[error.code].exit;
  const message = oneLine(error.message);
  if (json) process.stderr.write(`${JSON.stringify({ error: { code: error.code, message } })}\n`);
  else process.stderr.write(`cairn: [${error.code}] ${message}\n`);
  if (error.code === 'INTERNAL' && process.env.CAIRN_DEBUG !== undefined) process.stderr.write(`${stackOf(error)}\n`);
}

function stackOf(error: CairnError): string {
  return error.cause instanceof Error ? (error.cause.stack ?? '') : (error.stack ?? '');
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
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

/** Rows of text in aligned columns; numbers to the right. */
export function formatTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const right = header.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
