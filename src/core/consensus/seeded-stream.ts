/**
 * Randomness that is part of an engine's state: a counter-based stream (mulberry32), so that a clone continues it and a seed
 * replays it.
 */

export interface SeededStream {
  state: number;
}

/** The streams of two nodes differ even when both are given the same seed. */
export function seededStream(seed: number, node: number): SeededStream {
  return { state: mix(mix(seed >>> 0) ^ Math.imul(node, 0x9e3779b1) ^ Math.floor(seed / 0x1_0000_0000)) };
}

/** Uniform in [0, 1). */
export function nextUniform(stream: SeededStream): number {
  stream.state = (stream.state + 0x6d2b79f5) | 0;
  return (mix(stream.state) >>> 0) / 0x1_0000_0000;
}

function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 15), z | 1);
  z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
  return z ^ (z >>> 14);
}
