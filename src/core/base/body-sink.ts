/** Handing bytes that are already in memory to a sink, as every network must. */
import { assert } from './assert.ts';
import type { BodySink } from './env.ts';

/** Gives `bytes` to `sink`, by way of its own space where it has one. */
export function deliverPiece(sink: BodySink, bytes: Uint8Array): void {
  if (sink.space === undefined) {
    sink.piece(bytes);
    return;
  }
  for (let at = 0; at < bytes.length; ) {
    const space = sink.space();
    assert(space.length > 0, 'a sink has space for what is still to come');
    const take = Math.min(space.length, bytes.length - at);
    space.set(bytes.subarray(at, at + take));
    sink.piece(space.subarray(0, take));
    at += take;
  }
}
