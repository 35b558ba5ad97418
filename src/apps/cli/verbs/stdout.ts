/** Bytes to stdout, at the pace of whoever reads them. */
import { once } from 'node:events';

/** There while it takes no more; several may wait for it. */
let draining: Promise<void> | undefined;

export async function writeOut(bytes: Uint8Array | string): Promise<void> {
  if (!process.stdout.write(bytes)) draining ??= drained();
  await draining;
}

async function drained(): Promise<void> {
  try {
    await once(process.stdout, 'drain');
  } finally {
    draining = undefined;
  }
}

/** One object of a stream. */
export function writeJson(value: unknown): Promise<void> {
  return writeOut(`${JSON.stringify(value)}\n`);
}

/** One line of many. */
export function writeLine(line: string): Promise<void> {
  return writeOut(`${line}\n`);
}
