/**
 * Read into by every connection of the process: a read and the handling of its bytes are one step that no other read comes
 * between. Nothing may refer to this memory after that step, so what is sent on from it is copied.
 */
export const sharedBuffer = new Uint8Array(256 * 1024);

/**
 * Its beginning, read into behind a bulk body: what comes then is mostly the head of another, whose bytes are better read
 * to their own space than copied there.
 */
export const sharedStart = sharedBuffer.subarray(0, 16 * 1024);

export function isShared(bytes: Uint8Array): boolean {
  return bytes.buffer === sharedBuffer.buffer;
}
