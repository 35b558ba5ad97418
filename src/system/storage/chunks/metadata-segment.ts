/** Reading one segment of the metadata log: batches of frames, each ended by a `committed` frame. */
import type { Crc32 } from '../../../core/base/env.ts';
import {
  type Committed,
  checkSegmentHeader,
  type FrameHeader,
  frameHeaderBytes,
  frameKinds,
  readCommitted,
  readFrameHeader,
  segmentHeaderBytes,
} from './metadata-frame.ts';

export interface PlacedFrame {
  readonly header: FrameHeader;
  /** Of the frame's header within the segment. */
  readonly offset: number;
  readonly payload: Uint8Array;
  readonly isSound: boolean;
}

export interface Batch {
  readonly frames: readonly PlacedFrame[];
  readonly committed: Committed;
  /** Where the batch ends within the segment. */
  readonly end: number;
  readonly isSound: boolean;
}

export interface SegmentContent {
  readonly batches: readonly Batch[];
  /** Why the segment does not end with its last batch; undefined when it does. */
  readonly broken: string | undefined;
}

export function readSegment(bytes: Uint8Array, segment: number, path: string, crc32: Crc32): SegmentContent {
  const badHeader = checkSegmentHeader(bytes, segment, path, crc32);
  if (badHeader !== undefined) return { batches: [], broken: badHeader };
  const batches: Batch[] = [];
  let frames: PlacedFrame[] = [];
  let at = segmentHeaderBytes;
  while (at < bytes.length) {
    const frame = readFrame(bytes, at, crc32);
    if (frame === undefined) return { batches, broken: `there is no frame at ${at}` };
    at = frame.offset + frameHeaderBytes + frame.payload.length;
    if (frame.header.kind !== frameKinds.committed) {
      frames.push(frame);
      continue;
    }
    if (!frame.isSound) return { batches, broken: `the frame that ends a batch at ${frame.offset} fails its checksum` };
    const isSound = frames.every((one) => one.isSound);
    batches.push({ frames, committed: readCommitted(frame.payload), end: at, isSound });
    frames = [];
  }
  return { batches, broken: frames.length === 0 ? undefined : 'its last batch does not end' };
}

function readFrame(bytes: Uint8Array, at: number, crc32: Crc32): PlacedFrame | undefined {
  const header = readFrameHeader(bytes, at, crc32);
  if (header === undefined) return undefined;
  const start = at + frameHeaderBytes;
  if (start + header.payloadBytes > bytes.length) return undefined;
  const payload = bytes.subarray(start, start + header.payloadBytes);
  return { header, offset: at, payload, isSound: crc32(payload) === header.payloadChecksum };
}
