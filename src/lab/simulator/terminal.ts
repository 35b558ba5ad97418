/** Lines on stdout, and on a terminal one that says where things stand, on stderr. */
import type { Output } from './simulate.ts';

const clearLine = '\r\x1b[K';

export function terminalOutput(json: boolean): Output {
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  if (json || !process.stderr.isTTY) return { print };
  return { print, progress: (line) => void process.stderr.write(`${clearLine}${line ?? ''}`) };
}
