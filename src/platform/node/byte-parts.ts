/** Lists of byte parts that stand for one run of bytes. */

/** What of `parts` follows the first `bytes`; the list itself is not changed. */
export function withoutFirst(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  let n = 0;
  while (n < parts.length && parts[n]!.length <= left) left -= parts[n++]!.length;
  if (n === parts.length) return [];
  const rest = parts.slice(n);
  rest[0] = rest[0]!.subarray(left);
  return rest;
}

/** The first `bytes` of `parts`. */
export function onlyFirst(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  let n = 0;
  while (n < parts.length && parts[n]!.length <= left) left -= parts[n++]!.length;
  const first = parts.slice(0, n);
  if (left > 0) first.push(parts[n]!.subarray(0, left));
  return first;
}
