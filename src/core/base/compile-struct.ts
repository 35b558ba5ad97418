/**
 * Writer and reader of one struct as code of its own. A loop over fields is one piece of code for all structs, which the engine
 * cannot make fast: it meets too many shapes. Code of its own reads and builds objects of one shape.
 */
import type { ByteReader, ByteWriter } from './bytes.ts';

interface FieldCodec {
  write(writer: ByteWriter, value: unknown): void;
  read(reader: ByteReader): unknown;
}

export interface StructCode {
  write(writer: ByteWriter, value: Readonly<Record<string, unknown>>): void;
  read(reader: ByteReader): Record<string, unknown>;
}

/** @returns undefined where code must not be made from text (a page's content security policy): the loop does the same. */
export function compileStruct(names: readonly string[], codecs: readonly FieldCodec[]): StructCode | undefined {
  const fields = names.map((name, i) => ({ key: JSON.stringify(name), codec: `c${i}` }));
  const parameters = fields.map(({ codec }) => codec);
  const writes = fields.map(({ key, codec }) => `${codec}.write(w, value[${key}]);`);
  const reads = fields.map(({ key, codec }) => `${key}: ${codec}.read(r)`);
  const source = `"use strict"; return {
    write(w, value) { ${writes.join(' ')} },
    read(r) { return { ${reads.join(', ')} }; },
  };`;
  try {
    return new Function(...parameters, source)(...codecs) as StructCode;
  } catch (thrown) {
    if (thrown instanceof EvalError) return undefined;
    throw thrown;
  }
}
