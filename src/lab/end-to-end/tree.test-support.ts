/** A directory tree of many sizes, made from a seed, with its checksums. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TreeShape {
  readonly smallFiles: number;
  /** Each of `largeBytes`. */
  readonly largeFiles: number;
  readonly largeBytes: number;
}

/** Small files are 0 … 64 KiB; among the names are some that programs stumble over. */
export function makeTree(
  root: string,
  { smallFiles, largeFiles, largeBytes }: TreeShape,
): { files: number; bytes: number } {
  let bytes = 0;
  const write = (path: string, content: Uint8Array) => {
    writeFileSync(path, content);
    bytes += content.length;
  };
  for (let i = 0; i < smallFiles; i++) {
    const directory = join(root, `d${i % 40}`, `größe ${i % 3}`);
    mkdirSync(directory, { recursive: true });
    write(join(directory, `file ${i}.bin`), noise(i, i % 50 === 0 ? 0 : (i * 7919) % 65_536));
  }
  const large = join(root, 'large');
  mkdirSync(large, { recursive: true });
  for (let i = 0; i < largeFiles; i++) write(join(large, `${i}`), noise(1_000_000 + i, largeBytes));
  mkdirSync(join(root, 'empty'), { recursive: true });
  return { files: smallFiles + largeFiles, bytes };
}

/** Bytes that no layer could compress or guess, the same for the same seed (xorshift). */
export function noise(seed: number, bytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

/** Relative path → sha256 of its content. */
export async function checksums(root: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of (readdirSync(root, { recursive: true }) as string[]).sort()) {
    const path = join(root, name);
    if (!statSync(path).isFile()) continue;
    const hash = createHash('sha256');
    for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(piece as Buffer);
    found.set(name, hash.digest('hex'));
  }
  return found;
}
