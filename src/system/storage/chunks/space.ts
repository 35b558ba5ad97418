/**
 * Room on the disk. Mutations are refused before they touch anything once less than the reserve would be left: the reserve is
 * what the journal and the checkpoints need to go on. The disk is asked now and then; between, what is written is counted.
 */
import type { DiskUsage, Env } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';

/** After so many written bytes the disk is asked anew: others fill it too. */
const askEveryBytes = 256 * 1024 * 1024;

export class Space {
  readonly #env: Env;
  readonly #reserveBytes: number;
  /** Frees what is kept only for speed, or only until it is asked for. */
  giveBack: () => Promise<void> = async () => {};
  #freeBytes = 0;
  #writtenSince = Number.POSITIVE_INFINITY;

  constructor(env: Env, reserveBytes: number) {
    this.#env = env;
    this.#reserveBytes = reserveBytes;
  }

  /** Of the disk, and what chunks can still take of it; `keptBytes` are given back when they are asked for. */
  async room(keptBytes: number): Promise<DiskUsage> {
    const { totalBytes, freeBytes } = await this.#env.disk.usage();
    return { totalBytes, freeBytes: Math.max(0, freeBytes + keptBytes - this.#reserveBytes) };
  }

  /** Counts the bytes as written if there is surely room for them; else `ask` must say. */
  take(bytes: number): boolean {
    const written = this.#writtenSince + bytes;
    // A share of the free space, since on a small or full disk others' writes count for more.
    if (written > Math.min(askEveryBytes, (this.#freeBytes - this.#reserveBytes) / 2)) return false;
    this.#writtenSince = written;
    return true;
  }

  /** @throws CairnError DISK_FULL */
  async ask(bytes: number): Promise<void> {
    await this.#refresh();
    if (this.#lacks(bytes)) {
      await this.giveBack();
      await this.#refresh();
    }
    if (this.#lacks(bytes)) {
      throw new CairnError(
        'DISK_FULL',
        `the disk has ${this.#freeBytes} bytes left of which ${this.#reserveBytes} are kept for the journal; free some space or add a server`,
      );
    }
    this.#writtenSince = bytes;
  }

  #lacks(bytes: number): boolean {
    return this.#freeBytes - bytes < this.#reserveBytes;
  }

  async #refresh(): Promise<void> {
    const { freeBytes } = await this.#env.disk.usage();
    this.#freeBytes = freeBytes;
    this.#writtenSince = 0;
  }
}
