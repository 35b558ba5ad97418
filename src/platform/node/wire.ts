/**
 * The outermost layer on the wire, the same on every connection of Cairn.
 *
 *     connection = preface *frame
 *     preface    = "CAIRN" 00 version(u8) 00           ; both sides send it first, neither waits for the other's
 *     frame      = headBytes(u32) bodyBytes(u32) head body        ; little-endian
 */

export const wireVersion = 1;

export const prefaceBytes = 8;

/** "CAIRN\0", the version, and a byte that is reserved and zero. */
export const preface: Uint8Array = Uint8Array.of(0x43, 0x41, 0x49, 0x52, 0x4e, 0x00, wireVersion, 0x00);

/** Where in the preface the version stands. */
export const prefaceVersionAt = 6;

/** headBytes and bodyBytes. */
export const frameLengthsBytes = 8;

export const headMaxBytes = 8 * 1024 * 1024;
export const bodyMaxBytes = 64 * 1024 * 1024;

export function putU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
}

export function getU32(from: Uint8Array, at: number): number {
  return (from[at]! | (from[at + 1]! << 8) | (from[at + 2]! << 16) | (from[at + 3]! << 24)) >>> 0;
}
