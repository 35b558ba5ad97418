import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BodySink } from '../../core/base/env.ts';
import { FrameParser } from './frame-parser.ts';
import { preface } from './wire.ts';

interface Frame {
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

function encoded(frames: readonly Frame[]): Buffer {
  const lengths = frames.map(({ head, body }) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(head.length, 0);
    bytes.writeUInt32LE(body.length, 4);
    return Buffer.concat([bytes, head, body]);
  });
  return Buffer.concat([preface, ...lengths]);
}

/** A parser whose frames are collected; `wish` decides for each frame and piece whether to pause after it. */
function collecting(withSpace: boolean, wish: () => boolean) {
  const frames: Frame[] = [];
  const refusals: string[] = [];
  let aborted = 0;
  const parser: FrameParser = new FrameParser({
    preface: () => undefined,
    garbage: (reason) => void refusals.push(reason),
    frame: (head, bodyBytes): BodySink => {
      const kept = new Uint8Array(head);
      const body = new Uint8Array(bodyBytes);
      let at = 0;
      if (wish()) parser.pause();
      return {
        ...(withSpace ? { space: () => body.subarray(at, at + 40_000) } : {}),
        piece: (bytes) => {
          if (!withSpace) body.set(bytes, at);
          at += bytes.length;
          if (wish()) parser.pause();
        },
        end: () => void frames.push({ head: kept, body: body.subarray(0, at) }),
        aborted: () => void aborted++,
      };
    },
  });
  return { parser, frames, refusals, aborted: () => aborted };
}

/** Feeds `stream` as a socket does: into the parser's space where it offers some, else by way of memory that is reused. */
function feed(parser: FrameParser, stream: Uint8Array, cuts: readonly number[]): void {
  // A Buffer, whose slice is no copy.
  const shared = Buffer.alloc(70_000);
  let at = 0;
  for (let n = 0; at < stream.length; n++) {
    while (parser.paused) parser.resume();
    const wanted = cuts.length === 0 ? stream.length : cuts[n % cuts.length]!;
    const space = parser.space();
    const target = space ?? shared;
    const take = Math.min(wanted, target.length, stream.length - at);
    target.set(stream.subarray(at, at + take));
    if (space === undefined) parser.take(shared.subarray(0, take));
    else parser.filled(take);
    shared.fill(0xdd);
    at += take;
  }
  while (parser.paused) parser.resume();
}

const frame = fc.record({
  head: fc.uint8Array({ maxLength: 300 }),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(fc.integer({ min: 30_000, max: 120_000 }), fc.nat(255))
      .map(([length, seed]) => Uint8Array.from({ length }, (_, n) => n * 7 + seed)),
  ),
});

describe('the stream of frames', () => {
  test('is the same however it is cut and whenever it is paused, with space and without', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 6 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 90_000 })), { maxLength: 7 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (frames, cuts, wishes, withSpace) => {
          let asked = 0;
          const { parser, ...seen } = collecting(withSpace, () => wishes[asked++ % wishes.length]!);
          feed(parser, encoded(frames), cuts);
          expect(seen.refusals).toEqual([]);
          expect(seen.frames.length).toBe(frames.length);
          for (const [n, { head, body }] of seen.frames.entries()) {
            expect(Buffer.compare(head, frames[n]!.head)).toBe(0);
            expect(Buffer.compare(body, frames[n]!.body)).toBe(0);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a head of a MiB that comes in small cuts is whole', () => {
    const head = Uint8Array.from({ length: 1 << 20 }, (_, n) => n * 13 + (n >> 11));
    const { parser, frames } = collecting(false, () => false);
    feed(parser, encoded([{ head, body: new Uint8Array(5) }]), [1000, 7, 60_000]);
    expect(frames.length).toBe(1);
    expect(Buffer.compare(frames[0]!.head, head)).toBe(0);
  });

  test('random bytes after the preface never do worse than be refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.array(fc.integer({ min: 1, max: 99 })), (bytes, cuts) => {
        const { parser, refusals } = collecting(false, () => false);
        feed(parser, Buffer.concat([preface, bytes]), cuts);
        expect(refusals.length).toBeLessThanOrEqual(1);
        if (refusals.length === 1) expect(refusals[0]).toMatch(/^PROTOCOL /);
      }),
    );
  });

  test('a preface is refused at the first byte that is wrong; another version is named', () => {
    const first = collecting(false, () => false);
    first.parser.take(Buffer.from('G'));
    expect(first.refusals).toEqual(['PROTOCOL the peer does not speak the wire protocol of Cairn']);
    const second = collecting(false, () => false);
    second.parser.take(Buffer.from('CAIRN\0\x07\0'));
    expect(second.refusals).toEqual(['PROTOCOL the peer speaks wire version 7, this side 1']);
  });

  test('nothing is delivered after stop, and a body under way is aborted', () => {
    const { parser, frames, aborted } = collecting(false, () => false);
    const stream = encoded([{ head: Buffer.from('h'), body: Buffer.alloc(10) }]);
    parser.take(stream.subarray(0, stream.length - 5));
    parser.stop();
    parser.take(stream.subarray(stream.length - 5));
    parser.abort();
    expect(frames).toEqual([]);
    expect(aborted()).toBe(1);
  });
});

test('a sink without space that keeps its pieces sees them overwritten: they are valid during the call only', () => {
  const kept: Uint8Array[] = [];
  const parser = new FrameParser({
    preface: () => undefined,
    garbage: (reason) => expect.unreachable(reason),
    frame: () => ({ piece: (bytes) => void kept.push(bytes), end: () => undefined, aborted: () => undefined }),
  });
  feed(parser, encoded([{ head: Buffer.from('h'), body: Buffer.from('body') }]), []);
  expect(Buffer.concat(kept).toString('latin1')).toBe('\xdd\xdd\xdd\xdd');
});
