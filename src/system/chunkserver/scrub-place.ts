/**
 * How far a pass of the scrubber has come, in a small file beside the store: `crc:u32 place`, the CRC-32 of the place. It may be lost, or torn:
 * then a pass begins again.
 */
import { ByteReader, ByteWriter } from '../../core/base/bytes.ts';
import { decode, encode, f64, optional, struct, type TypeOf, varint } from '../../core/base/codec.ts';
import type { Env } from '../../core/base/env.ts';
import { toCairnError } from '../../core/base/errors.ts';

const place = struct({
  /** The handle to go on from; 1: no pass is under way. */
  next: varint,
  /** Wall time, ms since 1970. */
  startedAt: optional(f64),
  finishedAt: optional(f64),
});
export type ScrubPlace = TypeOf<typeof place>;

export async function saveScrubPlace({ disk, crc32 }: Env, path: string, value: ScrubPlace): Promise<void> {
  const bytes = encode(place, value);
  const writer = new ByteWriter();
  writer.u32(crc32(bytes));
  writer.raw(bytes);
  const file = await disk.open(path, 'create');
  try {
    await file.truncate(0);
    await file.write(0, [writer.finish()]);
  } finally {
    await file.close();
  }
}

/** Undefined where there is none that can be believed. @throws CairnError DISK_FAILED */
export async function loadScrubPlace({ disk, crc32 }: Env, path: string): Promise<ScrubPlace | undefined> {
  if (!(await disk.exists(path))) return undefined;
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(file.size());
    await file.read(0, bytes);
    if (bytes.length < 4 || new ByteReader(bytes).u32() !== crc32(bytes.subarray(4))) return undefined;
    return decode(place, bytes.subarray(4));
  } catch (thrown) {
    if (toCairnError(thrown).code === 'PROTOCOL') return undefined;
    throw thrown;
  } finally {
    await file.close();
  }
}
