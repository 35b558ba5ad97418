/** Any file system by its mount: what a program does that knows nothing of it. */
import { mkdir, open, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import type { FileStore, OpenToAppend, OpenToRead, OpenToWrite } from './file-store.ts';

const readBytes = 1024 * 1024;

export class DirectoryStore implements FileStore {
  readonly #writing: string;
  readonly #reading: string;

  constructor(writing: string, reading: string) {
    this.#writing = writing;
    this.#reading = reading;
  }

  async makeDirectory(path: string): Promise<void> {
    await mkdir(this.#writing + path);
  }

  async write(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
    const file = await open(this.#writing + path, 'w');
    for (const piece of pieces) await file.write(piece);
    await file.close(); // which tells what could not be written
  }

  create(path: string, content: Uint8Array): Promise<void> {
    return writeFile(this.#writing + path, content, { flag: 'wx' });
  }

  async read(path: string): Promise<number> {
    const file = await open(this.#reading + path, 'r');
    const memory = new Uint8Array(readBytes);
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(memory, 0, memory.length, bytes);
      if (bytesRead === 0) break;
      bytes += bytesRead;
    }
    await file.close();
    return bytes;
  }

  async stat(path: string): Promise<void> {
    await stat(this.#reading + path);
  }
  rename(from: string, to: string): Promise<void> {
    return rename(this.#writing + from, this.#writing + to);
  }
  remove(path: string): Promise<void> {
    return unlink(this.#writing + path);
  }
  removeTree(path: string): Promise<void> {
    return rm(this.#writing + path, { recursive: true });
  }

  async openToRead(path: string): Promise<OpenToRead> {
    const file = await open(this.#reading + path, 'r');
    return {
      readAt: async (into, position) => (await file.read(into, 0, into.length, position)).bytesRead,
      close: () => file.close(),
    };
  }

  async openToWrite(path: string): Promise<OpenToWrite> {
    const file = await open(this.#writing + path, 'a').then(async (made) => {
      await made.close();
      return open(this.#writing + path, 'r+');
    });
    return {
      writeAt: async (bytes, position) => void (await file.write(bytes, 0, bytes.length, position)),
      close: () => file.close(),
    };
  }

  async openToAppend(path: string, durable: boolean): Promise<OpenToAppend> {
    const file = await open(this.#writing + path, 'a');
    return {
      append: async (record) => {
        await file.write(record);
        if (durable) await file.datasync();
      },
      close: () => file.close(),
    };
  }

  async close(): Promise<void> {}
}
