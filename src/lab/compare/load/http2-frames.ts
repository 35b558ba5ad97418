/**
 * The little of HTTP/2 (RFC 9113) and gRPC that a unary call needs, laid by hand: a peer is driven at the cost of a framed TCP message, so
 * that what is measured is the peer and not our client library.
 */

export const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
export const flagEndStream = 0x1;
export const flagAck = 0x1;
const flagEndHeaders = 0x4;
export const frameHeadBytes = 9;

/** Ours for what the peer sends: so large that it never waits. */
const windowBytes = 0x3fff_ffff;
/** Settings: no dynamic header table (headers then need no state), no push, a large window for each stream. */
const settings: readonly (readonly [number, number])[] = [
  [0x1, 0],
  [0x2, 0],
  [0x4, windowBytes],
];

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, frameHeadBytes);
  return bytes;
}

/** What a client says first. */
export function preface(): Buffer {
  const body = Buffer.alloc(settings.length * 6);
  for (const [i, [name, value]] of settings.entries()) {
    body.writeUInt16BE(name, i * 6);
    body.writeUInt32BE(value, i * 6 + 2);
  }
  const opening = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  return Buffer.concat([opening, frame(frameTypes.settings, 0, 0, body), windowUpdate(windowBytes - 65_535)]);
}

export function windowUpdate(bytes: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeUInt32BE(bytes);
  return frame(frameTypes.windowUpdate, 0, 0, body);
}

/** The header block of every call of one method: static names, literal values, no state (RFC 7541). */
export function requestHeaders(path: string, authority: string): Buffer {
  const literal = (index: readonly number[], value: string) => [
    Buffer.from(index),
    Buffer.from([value.length]),
    Buffer.from(value),
  ];
  return Buffer.concat([
    Buffer.from([0x83, 0x86]), // :method POST, :scheme http
    ...literal([0x04], path),
    ...literal([0x01], authority),
    ...literal([0x0f, 0x10], 'application/grpc'),
    Buffer.from([0x00]),
    ...literal([2, ...Buffer.from('te')], 'trailers'),
  ]);
}

/** A whole unary call: its headers, and one message, with which the stream ends. */
export function call(stream: number, headers: Uint8Array, message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes * 2 + headers.length + 5 + message.length);
  bytes.writeUIntBE(headers.length, 0, 3);
  bytes[3] = frameTypes.headers;
  bytes[4] = flagEndHeaders;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(headers, frameHeadBytes);
  const at = frameHeadBytes + headers.length;
  bytes.writeUIntBE(5 + message.length, at, 3);
  bytes[at + 3] = frameTypes.data;
  bytes[at + 4] = flagEndStream;
  bytes.writeUInt32BE(stream, at + 5);
  bytes[at + 9] = 0; // not compressed
  bytes.writeUInt32BE(message.length, at + 10);
  bytes.set(message, at + 14);
  return bytes;
}

export function reset(stream: number): Buffer {
  const cancel = Buffer.alloc(4);
  cancel.writeUInt32BE(8);
  return frame(frameTypes.reset, 0, stream, cancel);
}

// ---------------------------------------------------------------- protobuf

export function protoBytes(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2]), varint(value.length), value]);
}

export function protoBool(field: number, value: boolean): Buffer {
  return Buffer.from([field << 3, value ? 1 : 0]);
}

function varint(n: number): Buffer {
  const bytes: number[] = [];
  for (let rest = n; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

/** The first field of that number with length-delimited content; undefined if there is none. */
export function protoField(message: Uint8Array, field: number): Uint8Array | undefined {
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++]!;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = next();
    const wire = key & 7;
    if (wire === 0) next();
    else if (wire === 2) {
      const length = next();
      if (key >> 3 === field) return message.subarray(at, at + length);
      at += length;
    } else at += wire === 1 ? 8 : 4;
  }
  return undefined;
}
