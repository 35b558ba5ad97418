/** A file system as the experiment uses it, through whatever door. Paths begin with a slash. */

export type StoreSpec =
  | { readonly kind: 'native'; readonly url: string }
  /** Where it is mounted, twice: what one mount has in its caches the other has to fetch. */
  | { readonly kind: 'directory'; readonly writing: string; readonly reading: string };

export interface FileStore {
  makeDirectory(path: string): Promise<void>;
  /** The whole file, new or emptied before. Resolves when every copy has it, at least in memory. */
  write(path: string, pieces: Iterable<Uint8Array>): Promise<void>;
  /** A new file. Rejects when there is one. */
  create(path: string, content: Uint8Array): Promise<void>;
  /** The whole file. @returns its bytes, counted */
  read(path: string): Promise<number>;
  stat(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** With all below, for good. */
  removeTree(path: string): Promise<void>;
  openToRead(path: string): Promise<OpenToRead>;
  /** Made if it is missing. */
  openToWrite(path: string): Promise<OpenToWrite>;
  /** Made if it is missing. `durable`: each append is flushed by every copy before it resolves, as far as the system does that. */
  openToAppend(path: string, durable: boolean): Promise<OpenToAppend>;
  close(): Promise<void>;
}

interface Open {
  close(): Promise<void>;
}
export interface OpenToRead extends Open {
  /** @returns fewer bytes than fit only at the end of the file */
  readAt(into: Uint8Array, position: number): Promise<number>;
}
export interface OpenToWrite extends Open {
  writeAt(bytes: Uint8Array, position: number): Promise<void>;
}
export interface OpenToAppend extends Open {
  append(record: Uint8Array): Promise<void>;
}
