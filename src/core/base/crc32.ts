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

// ---------------------------------------------------------------- joining

const polynomial = 0xedb88320;
/** The polynomial x^0, bits reflected. */
const one = 0x8000_0000;
/** x^(2^i) modulo the polynomial. */
const powers: readonly number[] = makePowers();

function makePowers(): number[] {
  const all = [one >>> 1];
  while (all.length < 32) all.push(multiply(all[all.length - 1]!, all[all.length - 1]!));
  return all;
}

/** a · b modulo the polynomial. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1;
  }
  return product >>> 0;
}

/** x^(8 · bytes): what a checksum is multiplied by when so many bytes follow. */
function shiftBy(bytes: number): number {
  let shift = one;
  let rest = bytes;
  for (let i = 3; rest > 0; i++) {
    if (rest % 2 === 1) shift = multiply(powers[i % 32]!, shift);
    rest = Math.floor(rest / 2);
  }
  return shift;
}

let lastBytes = 0;
let lastShift = one;

/** The checksum of two stretches one after another, from theirs: nothing is read again. */
export function joinCrc32(first: number, second: number, secondBytes: number): number {
  if (secondBytes !== lastBytes) {
    lastShift = shiftBy(secondBytes);
    lastBytes = secondBytes;
  }
  return (multiply(lastShift, first) ^ second) >>> 0;
}
