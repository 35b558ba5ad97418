/** The little of ZooKeeper's protocol that load needs, laid by hand: records of jute (big-endian, strings and buffers behind their length). */

export const types = { create: 1, getData: 4, setData: 5, sync: 9, ping: 11 } as const;
export const errors = { ok: 0, noNode: -101, nodeExists: -110 } as const;

/** The frame's own length. */
const lengthBytes = 4;
export const headBytes = lengthBytes;
/** xid, zxid, err: before each answer. */
export const replyHeadBytes = 16;
/** Of the ping, which answers no request. */
export const pingXid = -2;

const anyVersion = -1;
/** Everything, by anybody: one entry of an access list. */
const openAcl = Buffer.concat([int(1), int(31), text('world'), text('anyone')]);
const persistent = int(0);

function int(n: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(n);
  return bytes;
}

function text(of: string): Buffer {
  return buffer(Buffer.from(of));
}

function buffer(of: Uint8Array): Buffer {
  return Buffer.concat([int(of.length), of]);
}

function framed(...parts: readonly Uint8Array[]): Buffer {
  return buffer(Buffer.concat(parts));
}

/** The first frame of a connection: a new session of so many ms. */
export function connectFrame(sessionTimeoutMs: number): Buffer {
  const protocolVersion = int(0);
  const lastZxid = Buffer.alloc(8);
  const noSession = Buffer.alloc(8);
  return framed(protocolVersion, lastZxid, int(sessionTimeoutMs), noSession, buffer(Buffer.alloc(16)), Buffer.of(0));
}

export function createFrame(xid: number, path: string, data: Uint8Array): Buffer {
  return framed(int(xid), int(types.create), text(path), buffer(data), openAcl, persistent);
}

export function setDataFrame(xid: number, path: string, data: Uint8Array): Buffer {
  return framed(int(xid), int(types.setData), text(path), buffer(data), int(anyVersion));
}

export function getDataFrame(xid: number, path: string): Buffer {
  return framed(int(xid), int(types.getData), text(path), Buffer.of(0));
}

export function syncFrame(xid: number, path: string): Buffer {
  return framed(int(xid), int(types.sync), text(path));
}

export function pingFrame(): Buffer {
  return framed(int(pingXid), int(types.ping));
}

/** The time-out of the session that an answer to `connectFrame` grants; 0 or less: it was refused. */
export function grantedTimeoutMs(frame: Buffer): number {
  return frame.readInt32BE(4);
}

/** The data of an answer to `getDataFrame`, behind its head. */
export function dataOf(frame: Buffer): Buffer {
  const length = frame.readInt32BE(replyHeadBytes);
  const from = replyHeadBytes + lengthBytes;
  return length < 0 ? Buffer.alloc(0) : frame.subarray(from, from + length);
}
