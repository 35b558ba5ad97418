/**
 * Bounds the file that the events of a node go to. Its writer has it open and goes on: what it wrote is moved to a second file beside it,
 * which keeps it until that is so again.
 */
import { closeSync, openSync, readSync, statSync, truncateSync, writeSync } from 'node:fs';

/** Of each of the two files. */
export const eventFileMaxBytes = 16 * 1024 * 1024;
const pieceBytes = 1024 * 1024;
const newline = 0x0a;

/** What was written before the last time that it was too long. */
export function earlierEvents(file: string): string {
  return `${file}.1`;
}

/**
 * Moves what is in `file` to `earlierEvents(file)` if it is longer than it may be; nothing if it is not there. What is written to it in
 * that moment may be lost. Bounded it is in any case, also when this throws.
 * @throws what the file system says if what was in it could not be kept
 */
export function boundEventFile(file: string, maxBytes = eventFileMaxBytes): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= maxBytes) return;
  try {
    copyLastLines(file, earlierEvents(file), maxBytes);
  } finally {
    truncateSync(file);
  }
}

/** Those that begin in the last `maxBytes`, and those that are written meanwhile. */
function copyLastLines(from: string, to: string, maxBytes: number): void {
  const source = openSync(from, 'r');
  try {
    const target = openSync(to, 'w');
    try {
      const piece = Buffer.allocUnsafe(pieceBytes);
      const before = statSync(from).size - maxBytes - 1;
      let isWithin = before < 0;
      for (let at = Math.max(0, before), read = 1; read > 0; at += read) {
        read = readSync(source, piece, 0, pieceBytes, at);
        const lineFrom = isWithin ? 0 : piece.subarray(0, read).indexOf(newline) + 1;
        isWithin ||= lineFrom > 0;
        if (isWithin) writeWhole(target, piece.subarray(lineFrom, read));
      }
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

function writeWhole(target: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(target, bytes, at);
}
