/** What is written: contents that differ, as those of users do. Equal ones have equal checksums, and the engine compiles code for just these. */
import { randomBytes } from 'node:crypto';

const kinds = 64;

/** Gives one of some random contents of this length after the other. */
export function contentsOf(lengthBytes: number): () => Uint8Array {
  const all = Array.from({ length: kinds }, () => new Uint8Array(randomBytes(lengthBytes)));
  let next = 0;
  return () => all[next++ % kinds]!;
}
