/**
 * Read into by every connection of the process: a read and the handling of its bytes are one step that no other read comes
 * between. Nothing may refer to this memory after that step, so what is sent on from it is copied.
 */
export const sharedBuffer = new Uint8Array(64 * 1024);

export function isShared(bytes: Uint8Array): boolean {
  return bytes.buffer === sharedBuffer.buffer;
}
