import { expect, test } from 'vitest';
import { deliverPiece } from './body-sink.ts';

const bytes = Uint8Array.from({ length: 10 }, (_, n) => n);

test('a sink without space gets the bytes as they are', () => {
  const pieces: Uint8Array[] = [];
  deliverPiece({ piece: (piece) => void pieces.push(piece), end: () => {}, aborted: () => {} }, bytes);
  expect(pieces).toEqual([bytes]);
  expect(pieces[0]).toBe(bytes);
});

test('a sink with space finds them there, in as many pieces as the space makes', () => {
  const body = new Uint8Array(12);
  const lengths: number[] = [];
  let at = 0;
  deliverPiece(
    {
      space: () => body.subarray(at, at + 4),
      piece: (piece) => {
        expect(piece.buffer).toBe(body.buffer);
        expect(piece.byteOffset).toBe(at);
        at += piece.length;
        lengths.push(piece.length);
      },
      end: () => {},
      aborted: () => {},
    },
    bytes,
  );
  expect(lengths).toEqual([4, 4, 2]);
  expect(body).toEqual(Uint8Array.from([...bytes, 0, 0]));
});

test('a sink that has no space for what was announced is a bug of ours', () => {
  const sink = { space: () => new Uint8Array(0), piece: () => {}, end: () => {}, aborted: () => {} };
  expect(() => deliverPiece(sink, bytes)).toThrow('space');
});
