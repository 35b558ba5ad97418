/**
 * What a master's data directory says about its place in the group: under which name the promises in its log were made. Written before
 * anything is promised, so that a directory that has lost its log, or was never used, does not pass for the member it was.
 * The file `member` is written anew by each change, as a whole; its format is in docs/formats/member.md.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import { ByteReader, ByteWriter } from '../../../core/base/bytes.ts';
import {
  bool,
  type Codec,
  decode,
  encode,
  list,
  optional,
  struct,
  type TypeOf,
  u16,
  u53,
} from '../../../core/base/codec.ts';
import type { Env } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { nodeId } from '../../../core/protocol/types.ts';

export const memberFileName = 'member';
/** ASCII "CAIRNMEM". */
const magic = Uint8Array.of(0x43, 0x41, 0x49, 0x52, 0x4e, 0x4d, 0x45, 0x4d);
const formatVersion = 1;
const mastersMax = 64;

const recordCodec = struct({
  /** Drawn when the directory was first used, and again when it has lost what it held. */
  directory: u53,
  /** Whose promises the log holds; undefined: nobody's. */
  node: optional(nodeId),
  /** The voters that the group was founded with. */
  bootstrap: list(nodeId, mastersMax),
  /** The directories of those with whom this one founded the group; empty if it joined later. */
  founders: list(struct({ id: u16, directory: u53 }), mastersMax),
  /** A log was made under `node`: if there is none, it was lost. */
  opened: bool,
  /** This member was removed from the group: it never takes part again. */
  removed: bool,
});
export type MemberRecord = TypeOf<typeof recordCodec>;

export function newMemberRecord(env: Env): MemberRecord {
  return { directory: env.random.id53(), node: undefined, bootstrap: [], founders: [], opened: false, removed: false };
}

export interface JoinedAs {
  readonly node: NodeId;
  readonly bootstrap: readonly NodeId[];
}

/** Undefined in a directory that was never used. @throws CairnError LOG_CORRUPT, WRONG_FORMAT, DISK_FAILED */
export async function readMemberFile(env: Env): Promise<MemberRecord | undefined> {
  if (!(await env.disk.exists(memberFileName))) return undefined;
  const file = await env.disk.open(memberFileName, 'read');
  try {
    const bytes = new Uint8Array(file.size());
    await file.read(0, bytes);
    return decodeMemberFile(bytes, env);
  } finally {
    await file.close();
  }
}

/** Durable when it resolves. @throws CairnError DISK_FULL, DISK_FAILED */
export async function writeMemberFile(env: Env, record: MemberRecord): Promise<void> {
  const { disk } = env;
  const unfinished = `${memberFileName}.new`;
  const file = await disk.open(unfinished, 'create');
  try {
    await file.truncate(0);
    await file.write(0, [encodeMemberFile(record, env)]);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(unfinished, memberFileName);
  await disk.syncDirectory('');
}

export function encodeMemberFile(record: MemberRecord, { crc32 }: Pick<Env, 'crc32'>): Uint8Array {
  const payload = encode(recordCodec as Codec<MemberRecord>, record);
  const writer = new ByteWriter();
  writer.raw(magic);
  writer.u32(formatVersion);
  writer.blob(payload);
  writer.u32(crc32(writer.view()));
  return writer.finish();
}

/** @throws CairnError LOG_CORRUPT, WRONG_FORMAT */
export function decodeMemberFile(bytes: Uint8Array, { crc32 }: Pick<Env, 'crc32'>): MemberRecord {
  const sumAt = bytes.length - 4;
  const isWhole = sumAt > magic.length && magic.every((byte, at) => bytes[at] === byte);
  if (!isWhole || new ByteReader(bytes.subarray(sumAt)).u32() !== crc32(bytes.subarray(0, sumAt)))
    throw new CairnError(
      'LOG_CORRUPT',
      `the file ${memberFileName}, which says whose log this is, is damaged; keep a copy and start empty`,
    );
  const reader = new ByteReader(bytes.subarray(magic.length, sumAt));
  const found = reader.u32();
  if (found !== formatVersion)
    throw new CairnError(
      'WRONG_FORMAT',
      `the file ${memberFileName} has format ${found}, this program reads ${formatVersion}; run the version that wrote it`,
    );
  return decode(recordCodec, reader.blob());
}
