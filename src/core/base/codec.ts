/**
 * A small schema codec: a table of fields describes a message once, and gives its TypeScript type, its encoder and its decoder.
 * Everything on the wire and in the log is described this way, so that a format is read in one place.
 */
import { assert } from './assert.ts';
import type { Brand } from './brand.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { compileStruct } from './compile-struct.ts';
import { CairnError } from './errors.ts';

export interface Codec<T> {
  write(writer: ByteWriter, value: T): void;
  read(reader: ByteReader): T;
}

export type TypeOf<C> = C extends Codec<infer T> ? T : never;

export const u8: Codec<number> = { write: (w, n) => w.u8(n), read: (r) => r.u8() };
export const u16: Codec<number> = { write: (w, n) => w.u16(n), read: (r) => r.u16() };
export const u32: Codec<number> = { write: (w, n) => w.u32(n), read: (r) => r.u32() };
export const u53: Codec<number> = { write: (w, n) => w.u53(n), read: (r) => r.u53() };
export const varint: Codec<number> = { write: (w, n) => w.varint(n), read: (r) => r.varint() };
export const f64: Codec<number> = { write: (w, n) => w.f64(n), read: (r) => r.f64() };
export const text: Codec<string> = { write: (w, s) => w.text(s), read: (r) => r.text() };
/** Decodes to a view of the message: copy it to keep it. */
export const blob: Codec<Uint8Array> = { write: (w, b) => w.blob(b), read: (r) => r.blob() };
/** Decodes to a copy: for messages that are looked at again when the memory they came in is another's. */
export const keptBlob: Codec<Uint8Array> = { write: (w, b) => w.blob(b), read: (r) => r.blob().slice() };
export const bool: Codec<boolean> = {
  write: (w, b) => w.u8(b ? 1 : 0),
  read: (r) => {
    const byte = r.u8();
    if (byte > 1) throw new CairnError('PROTOCOL', `a message is malformed: ${byte} is not a boolean`);
    return byte === 1;
  },
};

/** A number or text under a brand; `check` is the brand's constructor. Its refusal is the peer's mistake: PROTOCOL. */
export function branded<Base, B extends Brand<Base, string>>(base: Codec<Base>, check: (value: Base) => B): Codec<B> {
  return {
    write: (w, value) => base.write(w, value as unknown as Base),
    read: (r) => {
      const value = base.read(r);
      try {
        return check(value);
      } catch (cause) {
        throw new CairnError('PROTOCOL', `a message is malformed: ${String(value)} is out of range`, { cause });
      }
    },
  };
}

export function optional<T>(inner: Codec<T>): Codec<T | undefined> {
  return {
    write: (w, value) => {
      bool.write(w, value !== undefined);
      if (value !== undefined) inner.write(w, value);
    },
    read: (r) => (bool.read(r) ? inner.read(r) : undefined),
  };
}

/** At most `maxLength` items; a longer one is our bug when writing, the peer's when reading. */
export function list<T>(inner: Codec<T>, maxLength = 1_000_000): Codec<readonly T[]> {
  return {
    write: (w, items) => {
      assert(items.length <= maxLength, 'a list keeps within its bound', { length: items.length, maxLength });
      w.varint(items.length);
      for (const item of items) inner.write(w, item);
    },
    read: (r) => {
      const length = r.varint();
      if (length > maxLength || length > r.remaining)
        throw new CairnError('PROTOCOL', `a message is malformed: a list of ${length} items`);
      const items: T[] = [];
      for (let i = 0; i < length; i++) items.push(inner.read(r));
      return items;
    },
  };
}

/** One of a few words, as its position in the list. Append new words at the end only. */
export function oneOf<const Words extends readonly string[]>(words: Words): Codec<Words[number]> {
  return {
    write: (w, word) => {
      const at = words.indexOf(word);
      assert(at >= 0, 'a word is one of its list', { word });
      w.u8(at);
    },
    read: (r) => {
      const word = words[r.u8()];
      if (word === undefined) throw new CairnError('PROTOCOL', 'a message is malformed: an unknown word');
      return word;
    },
  };
}

/** A codec of whatever type: its value type is inferred where it is used. */
// biome-ignore lint/suspicious/noExplicitAny: Codec is invariant, so only `any` admits every codec
export type AnyCodec = Codec<any>;
type Shape<F> = { readonly [K in keyof F]: TypeOf<F[K]> };

/** A struct that is used so often gets code of its own; most are not, and a program's start should not pay for them. */
const usesBeforeCompiling = 100;

/** Fields in the order given. New fields go to the end, under a new protocol version. */
export function struct<const F extends Readonly<Record<string, AnyCodec>>>(fields: F): Codec<Shape<F>> {
  const names = Object.keys(fields);
  const codecs = Object.values(fields) as Codec<unknown>[];
  let uses = 0;
  const used = () => {
    if (++uses === usesBeforeCompiling) Object.assign(codec, compileStruct(names, codecs));
  };
  const codec: Codec<Shape<F>> = {
    write: (w, value) => {
      used();
      const record = value as Readonly<Record<string, unknown>>;
      for (let i = 0; i < names.length; i++) codecs[i]!.write(w, record[names[i]!]);
    },
    read: (r) => {
      used();
      const value: Record<string, unknown> = {};
      for (let i = 0; i < names.length; i++) value[names[i]!] = codecs[i]!.read(r);
      return value as Shape<F>;
    },
  };
  return codec;
}

type Union<Cases> = {
  [K in keyof Cases]: { readonly kind: K } & (Cases[K] extends readonly [number, Codec<infer T>] ? T : never);
}[keyof Cases];

/** A union discriminated by `kind`: each kind has a fixed tag byte and the codec of its fields. */
export function union<const Cases extends Readonly<Record<string, readonly [number, AnyCodec]>>>(
  cases: Cases,
): Codec<Union<Cases>> {
  const byTag: ({ kind: string; codec: Codec<Record<string, unknown>> } | undefined)[] = [];
  for (const [kind, [tag, codec]] of Object.entries(cases)) {
    assert(byTag[tag] === undefined, 'each kind has a tag of its own', { kind, tag });
    byTag[tag] = { kind, codec: codec as Codec<Record<string, unknown>> };
  }
  return {
    write: (w, value) => {
      const found = cases[(value as { kind: string }).kind];
      assert(found !== undefined, 'a message has a known kind', { kind: (value as { kind: string }).kind });
      w.u8(found[0]);
      found[1].write(w, value);
    },
    read: (r) => {
      const tag = r.u8();
      const found = byTag[tag];
      if (found === undefined)
        throw new CairnError(
          'PROTOCOL',
          `a message has the unknown tag ${tag}; check that both sides run the same version`,
        );
      const value = found.codec.read(r);
      // biome-ignore lint/complexity/useLiteralKeys: an index signature is read by index
      value['kind'] = found.kind;
      return value as Union<Cases>;
    },
  };
}

/** No fields. */
export const nothing: Codec<Record<never, never>> = { write: () => {}, read: () => ({}) };

/** Shared by all encodings, which do not nest: most are small, and a writer of their own would cost more than they do. */
const scratch = new ByteWriter(64 * 1024);
let scratchIsTaken = false;

/** The value's bytes, exactly as many. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  if (scratchIsTaken) return encodeWith(new ByteWriter(), codec, value);
  scratchIsTaken = true;
  try {
    return encodeWith(scratch, codec, value);
  } finally {
    scratchIsTaken = false;
  }
}

function encodeWith<T>(writer: ByteWriter, codec: Codec<T>, value: T): Uint8Array {
  writer.reset();
  codec.write(writer, value);
  return writer.finish();
}

/** The whole of `bytes` as one value. @throws CairnError PROTOCOL */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new ByteReader(bytes);
  const value = codec.read(reader);
  reader.end();
  return value;
}
