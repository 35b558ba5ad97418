/** CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320) in plain JavaScript, eight bytes a step. The platform may bring a faster one. */

const tables: readonly Int32Array[] = makeTables();

function makeTables(): Int32Array[] {
  const all: Int32Array[] = [];
  const first = new Int32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    first[n] = c;
  }
  all.push(first);
  for (let t = 1; t < 8; t++) {
    const table = new Int32Array(256);
    const before = all[t - 1]!;
    for (let n = 0; n < 256; n++) table[n] = (before[n]! >>> 8) ^ first[before[n]! & 0xff]!;
    all.push(table);
  }
  return all;
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** The checksum of `bytes`, continuing from `seed` (the checksum of what came before; 0 to begin). 0 … 2^32−1. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  let c = ~seed;
  let i = 0;
  const wide = bytes.length - 7;
  for (; i < wide; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    c =
      t7[c & 0xff]! ^
      t6[(c >>> 8) & 0xff]! ^
      t5[(c >>> 16) & 0xff]! ^
      t4[c >>> 24]! ^
      t3[bytes[i + 4]!]! ^
      t2[bytes[i + 5]!]! ^
      t1[bytes[i + 6]!]! ^
      t0[bytes[i + 7]!]!;
  }
  for (; i < bytes.length; i++) c = t0[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8);
  return ~c >>> 0;
}
