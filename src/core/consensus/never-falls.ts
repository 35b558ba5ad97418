import { assert } from '../base/assert.ts';

/** What may only grow from one step to the next. @throws AssertionError */
export function neverFalls(name: string, before: number, now: number): void {
  if (now < before) assert(false, `${name} never falls`, { before, now });
}
