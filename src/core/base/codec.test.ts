import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { naturalBrand } from './brand.ts';
import {
  blob,
  bool,
  branded,
  decode,
  encode,
  list,
  nothing,
  oneOf,
  optional,
  struct,
  type TypeOf,
  text,
  u16,
  union,
  varint,
} from './codec.ts';

const shape = union({
  circle: [1, struct({ radius: varint, name: optional(text) })],
  path: [2, struct({ points: list(u16, 8), closed: bool, colour: oneOf(['red', 'blue']), data: blob })],
  empty: [3, nothing],
});
type ShapeValue = TypeOf<typeof shape>;

describe('the schema codec', () => {
  it('infers the type of a union from its table', () => {
    expectTypeOf<Extract<ShapeValue, { kind: 'circle' }>['radius']>().toEqualTypeOf<number>();
    expectTypeOf<ShapeValue['kind']>().toEqualTypeOf<'circle' | 'path' | 'empty'>();
  });

  it('gives back what was encoded', () => {
    const values: ShapeValue[] = [
      { kind: 'circle', radius: 2 ** 40, name: undefined },
      { kind: 'circle', radius: 0, name: 'größer' },
      { kind: 'path', points: [1, 2, 65_535], closed: true, colour: 'blue', data: new Uint8Array([9]) },
      { kind: 'empty' },
    ];
    for (const value of values) expect(decode(shape, encode(shape, value))).toEqual(value);
  });

  it('codes a struct the same when it has code of its own', () => {
    const fields = { a: varint, "b'": text, __proto: list(u16), c: optional(bool) };
    const value = { a: 300, "b'": 'x', __proto: [1, 2], c: undefined };
    const codec = struct(fields);
    const { write, read } = codec;
    const first = encode(codec, value);
    for (let i = 0; i < 200; i++) expect(decode(codec, encode(codec, value))).toEqual(value);
    expect(codec.write).not.toBe(write);
    expect(codec.read).not.toBe(read);
    expect(encode(codec, value)).toEqual(first);
    expect(() => decode(codec, first.subarray(0, -1))).toThrow(/malformed/);
  });

  it('answers garbage with PROTOCOL, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          decode(shape, bytes);
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'PROTOCOL' });
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('refuses unknown tags, words, left-over bytes and lists over their bound', () => {
    expect(() => decode(shape, new Uint8Array([9]))).toThrow(/unknown tag 9/);
    expect(() => decode(oneOf(['a']), new Uint8Array([1]))).toThrow(/unknown word/);
    expect(() => decode(bool, new Uint8Array([2]))).toThrow(/not a boolean/);
    expect(() => decode(bool, new Uint8Array([1, 1]))).toThrow(/left over/);
    expect(() => decode(list(bool, 2), new Uint8Array([3, 1, 1, 1]))).toThrow(/a list of 3/);
    expect(() => encode(list(bool, 2), [true, true, true])).toThrow(/bound/);
  });

  it('checks brands when reading: out of range is the mistake of the peer', () => {
    const even = branded(varint, (n) => {
      if (n % 2 !== 0) throw new Error('odd');
      return naturalBrand<never>('an even number')(n);
    });
    expect(() => decode(even, encode(varint, 3))).toThrow(/3 is out of range/);
    expect(decode(even, encode(varint, 4))).toBe(4);
  });
});
