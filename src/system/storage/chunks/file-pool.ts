/**
 * Files of removed chunks, kept for new ones: writing over a recycled file in place costs a fraction of writing into fresh
 * pages. What they hold means nothing; a chunk's content is what its length and checksums say.
 */
import type { Env } from '../../../core/base/env.ts';

export interface PoolBounds {
  readonly files: number;
  readonly bytes: number;
  /** Smaller files are not worth a rename. */
  readonly fileMinBytes: number;
}

interface Pooled {
  readonly path: string;
  readonly bytes: number;
}

export class FilePool {
  readonly #env: Env;
  readonly #directory: string;
  readonly #bounds: PoolBounds;
  #files: Pooled[] = [];
  #bytes = 0;
  #next = 1;

  constructor(env: Env, directory: string, bounds: PoolBounds) {
    this.#env = env;
    this.#directory = directory;
    this.#bounds = bounds;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  /** Takes in what an earlier run left. */
  async load(): Promise<void> {
    for (const name of await this.#env.disk.list(this.#directory)) {
      const path = `${this.#directory}/${name}`;
      this.#next = Math.max(this.#next, (Number.parseInt(name, 16) || 0) + 1);
      const file = await this.#env.disk.open(path, 'read');
      const bytes = file.size();
      await file.close();
      if (this.#hasRoom(bytes)) this.#add({ path, bytes });
      else await this.#env.disk.remove(path);
    }
  }

  /** Takes the file over, by rename, or removes it when it is small or the pool is full. */
  async put(path: string, bytes: number): Promise<void> {
    if (!this.#hasRoom(bytes)) {
      await this.#env.disk.remove(path);
      return;
    }
    const pooled = { path: `${this.#directory}/${(this.#next++).toString(16).padStart(16, '0')}`, bytes };
    // Counted before the rename, so that the bound holds while several are under way.
    this.#bytes += bytes;
    try {
      await this.#env.disk.rename(path, pooled.path);
    } finally {
      this.#bytes -= bytes;
    }
    this.#add(pooled);
  }

  /** Moves a file of the pool to `path`. @returns whether there was one. */
  async take(path: string): Promise<boolean> {
    const pooled = this.#files.pop();
    if (pooled === undefined) return false;
    this.#bytes -= pooled.bytes;
    await this.#env.disk.rename(pooled.path, path);
    return true;
  }

  /** Gives all space back: the disk is filling up. */
  async drain(): Promise<void> {
    const files = this.#files;
    this.#files = [];
    this.#bytes = 0;
    for (const { path } of files) await this.#env.disk.remove(path);
    if (files.length > 0) this.#env.events.emit('info', 'chunk-pool-drained', { files: files.length });
  }

  #hasRoom(bytes: number): boolean {
    const { files, fileMinBytes } = this.#bounds;
    return bytes >= fileMinBytes && this.#files.length < files && this.#bytes + bytes <= this.#bounds.bytes;
  }

  #add(pooled: Pooled): void {
    this.#files.push(pooled);
    this.#bytes += pooled.bytes;
  }
}
