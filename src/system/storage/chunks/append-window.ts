/**
 * What the writers of a chunk appended last, for exactly-once appends. Bounded by writer and by the number of writers; what
 * falls out depends only on what was added, so that every replica and every replay of the journal keeps the same entries. That a writer
 * fell out is kept too, as the version under which it happened last.
 */
import { ByteReader, type ByteWriter } from '../../../core/base/bytes.ts';
import { forgottenMark, forgottenWriter, type WindowEntry } from '../chunk-store.ts';
import { SequenceRows } from '../sequence-rows.ts';

export interface WindowBounds {
  readonly entriesPerWriter: number;
  /** The writer that appended longest ago is forgotten first. */
  readonly writers: number;
}

export class AppendWindow {
  readonly #bounds: WindowBounds;
  /** By writer, the one that appended last at the end. */
  readonly #byWriter = new Map<number, SequenceRows>();
  #last: { readonly writer: number; readonly rows: SequenceRows } | undefined;
  /** The highest version under which a writer was forgotten; 0: none was. */
  #forgottenVersion = 0;
  /** All of it, as long as nobody has changed it since it was read: most that is read of a chunk needs nothing of its window. */
  #written: { readonly bytes: Uint8Array; readonly version: number } | undefined;

  /** One that `writeWindow` has written. @param version of the chunk */
  static written(bounds: WindowBounds, version: number, bytes: Uint8Array): AppendWindow {
    const window = new AppendWindow(bounds, version);
    window.#written = { bytes, version };
    return window;
  }

  /** @param version of the chunk */
  constructor(bounds: WindowBounds, version: number, entries: readonly WindowEntry[] = []) {
    this.#bounds = bounds;
    this.add(entries, version);
  }

  /** What its entries take, with room for those to come. */
  get memoryBytes(): number {
    let bytes = this.#written?.bytes.length ?? 0;
    for (const rows of this.#byWriter.values()) bytes += rows.memoryBytes;
    return bytes;
  }

  /**
   * An entry of the same writer and sequence is replaced; of each writer the highest sequences are kept.
   * @param version under which they come
   */
  add(entries: readonly WindowEntry[], version: number): void {
    if (entries.length > 0) this.#unfold();
    for (const entry of entries) {
      if (entry.writer === forgottenWriter) this.#forgottenVersion = Math.max(this.#forgottenVersion, entry.sequence);
      else this.#insert(entry, version);
    }
  }

  /** The mark of what was forgotten, if any was; then writers in the order of their last append, each with its entries by sequence. */
  entries(): readonly WindowEntry[] {
    if (this.#written !== undefined) return readWindow(new ByteReader(this.#written.bytes));
    const all: WindowEntry[] = this.#forgottenVersion > 0 ? [forgottenMark(this.#forgottenVersion)] : [];
    for (const [writer, rows] of this.#byWriter) {
      for (let at = Math.max(0, rows.count - this.#bounds.entriesPerWriter); at < rows.count; at++) {
        const sequence = rows.sequenceAt(at);
        all.push({ writer, sequence, offset: rows.offsetAt(at), lengthBytes: rows.bytesAt(at) });
      }
    }
    return all;
  }

  replace(entries: readonly WindowEntry[], version: number): void {
    this.#written = undefined;
    this.#byWriter.clear();
    this.#last = undefined;
    this.#forgottenVersion = 0;
    this.add(entries, version);
  }

  #unfold(): void {
    if (this.#written === undefined) return;
    const { version } = this.#written;
    this.replace(this.entries(), version);
  }

  #insert({ writer, sequence, offset, lengthBytes }: WindowEntry, version: number): void {
    const rows = this.#last?.writer === writer ? this.#last.rows : this.#touch(writer, version);
    rows.put(sequence, offset, lengthBytes);
  }

  #touch(writer: number, version: number): SequenceRows {
    const rows = this.#byWriter.get(writer) ?? new SequenceRows(this.#bounds.entriesPerWriter);
    this.#byWriter.delete(writer);
    this.#byWriter.set(writer, rows);
    this.#last = { writer, rows };
    if (this.#byWriter.size > this.#bounds.writers) {
      for (const oldest of this.#byWriter.keys()) {
        this.#byWriter.delete(oldest);
        this.#forgottenVersion = Math.max(this.#forgottenVersion, version);
        break;
      }
    }
    return rows;
  }
}

export function writeWindow(w: ByteWriter, window: readonly WindowEntry[]): void {
  w.varint(window.length);
  for (const entry of window) {
    w.varint(entry.writer);
    w.varint(entry.sequence);
    w.varint(entry.offset);
    w.varint(entry.lengthBytes);
  }
}

export function readWindow(r: ByteReader): WindowEntry[] {
  const count = r.varint();
  const window: WindowEntry[] = [];
  for (let i = 0; i < count; i++) {
    window.push({ writer: r.varint(), sequence: r.varint(), offset: r.varint(), lengthBytes: r.varint() });
  }
  return window;
}
