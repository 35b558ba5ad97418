/** The files that are open, least recently used first out. A file is closed only when nobody holds it across an await. */
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';

export interface OpenFile {
  readonly file: DiskFile;
  users: number;
  /** It is gone, or has made room: close with the last user. */
  isRetired: boolean;
}

export class OpenFiles {
  readonly #env: Env;
  readonly #max: number;
  /** Least recently used first. */
  readonly #open = new Map<number, OpenFile>();
  readonly #closing = new Set<Promise<void>>();

  constructor(env: Env, max: number) {
    this.#env = env;
    this.#max = max;
  }

  /** For use within this turn; `hold` it to use it longer. Made by `open` if it is not here. */
  open(key: number, open: () => DiskFile): OpenFile {
    const known = this.#open.get(key);
    if (known !== undefined) {
      this.#open.delete(key);
      this.#open.set(key, known);
      return known;
    }
    const entry = { file: open(), users: 0, isRetired: false };
    this.#open.set(key, entry);
    if (this.#open.size > this.#max) this.#evict(key);
    return entry;
  }

  /** Runs `use` with the file open throughout. */
  async hold<T>(key: number, open: () => DiskFile, use: (file: DiskFile) => Promise<T>): Promise<T> {
    const entry = this.open(key, open);
    entry.users++;
    try {
      return await use(entry.file);
    } finally {
      entry.users--;
      if (entry.isRetired && entry.users === 0) this.#close(entry.file);
    }
  }

  /** Closes it if nobody holds it: what is opened next is what has its name then. */
  closeIdle(key: number): void {
    const entry = this.#open.get(key);
    if (entry === undefined || entry.users > 0) return;
    this.#open.delete(key);
    this.#close(entry.file);
  }

  /** It is nobody's any more. */
  dismiss(key: number): void {
    const entry = this.#open.get(key);
    if (entry === undefined) return;
    this.#open.delete(key);
    entry.isRetired = true;
    if (entry.users === 0) this.#close(entry.file);
  }

  async close(): Promise<void> {
    const files = [...this.#open.values()];
    this.#open.clear();
    for (const { file } of files) this.#close(file);
    await Promise.all(this.#closing);
  }

  #evict(keep: number): void {
    for (const [key, entry] of this.#open) {
      if (this.#open.size <= this.#max) return;
      if (entry.users > 0 || key === keep) continue;
      this.#open.delete(key);
      this.#close(entry.file);
    }
  }

  #close(file: DiskFile): void {
    const closing = file.close().then(
      () => {
        this.#closing.delete(closing);
      },
      (thrown: unknown) => {
        this.#closing.delete(closing);
        const error = toCairnError(thrown);
        this.#env.events.emit('error', 'chunk-file-close-failed', { path: file.path, message: error.message });
      },
    );
    this.#closing.add(closing);
  }
}
