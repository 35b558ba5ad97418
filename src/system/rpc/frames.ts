/**
 * Heads of frames: `u8 kind | u32 id | payload`. A request's payload is `u8 tag | fields`, a response's the fields, a failure's
 * `code, message, hint` as texts. A notice is a request that nobody answers (id 0). A response with id 0 answers nothing: it says that
 * the peer is there, while the body of a request takes long to come in.
 */
import { type ByteReader, ByteWriter } from '../../core/base/bytes.ts';
import type { AnyCodec } from '../../core/base/codec.ts';
import { CairnError, isErrorCode } from '../../core/base/errors.ts';

export const frameKinds = { request: 0, response: 1, failure: 2, notice: 3 } as const;

/** One writer for all heads of a process: a connection copies heads when it takes them. */
const scratch = new ByteWriter(4096);

export function requestHead(kind: 0 | 3, id: number, tag: number, codec: AnyCodec, request: unknown): Uint8Array {
  scratch.reset();
  scratch.u8(kind);
  scratch.u32(id);
  scratch.u8(tag);
  codec.write(scratch, request);
  return scratch.view();
}

export function responseHead(id: number, codec: AnyCodec, response: unknown): Uint8Array {
  scratch.reset();
  scratch.u8(frameKinds.response);
  scratch.u32(id);
  codec.write(scratch, response);
  return scratch.view();
}

export function signOfLife(): Uint8Array {
  scratch.reset();
  scratch.u8(frameKinds.response);
  scratch.u32(0);
  return scratch.view();
}

export function failureHead(id: number, error: CairnError): Uint8Array {
  scratch.reset();
  scratch.u8(frameKinds.failure);
  scratch.u32(id);
  scratch.text(error.code);
  scratch.text(error.message);
  scratch.text(error.hint);
  return scratch.view();
}

export function readFailure(reader: ByteReader): CairnError {
  const code = reader.text();
  const message = reader.text();
  const hint = reader.text();
  return new CairnError(isErrorCode(code) ? code : 'INTERNAL', message, { hint });
}
