/** Bytes that differ from place to place and from payload to payload, known again from their number alone. */
export function payload(number: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let x = (Math.imul(number, 2654435761) + 1) >>> 0;
  for (let i = 0; i < lengthBytes; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}
