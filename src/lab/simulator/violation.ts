import { Buffer } from 'node:buffer';

/** What a run finds when the system breaks a promise: it ends the run. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** @throws Violation */
export function mustHold(condition: boolean, what: () => string): asserts condition {
  if (!condition) throw new Violation(what());
}

/** @throws Violation naming the first byte that differs */
export function mustEqualBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const bytes = Math.min(actual.length, expected.length);
  let at = 0;
  while (at < bytes && actual[at] === expected[at]) at += 1;
  const lengths = `${actual.length} bytes, expected ${expected.length}`;
  throw new Violation(at === bytes ? `${what}: ${lengths}` : `${what}: byte ${at} differs (${lengths})`);
}
