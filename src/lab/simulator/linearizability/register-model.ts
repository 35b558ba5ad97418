/** A set of registers that clients write, exchange and compare-and-set; all values that are written differ. */
import { impossible, type Operation, type SequentialModel } from './checker.ts';

export type RegisterInput =
  | { readonly kind: 'read'; readonly key: number }
  | { readonly kind: 'write'; readonly key: number; readonly value: number }
  /** As a write; gives the value that was there. */
  | { readonly kind: 'swap'; readonly key: number; readonly value: number }
  /** Writes `value` if `expected` is there; gives what was there. */
  | { readonly kind: 'cas'; readonly key: number; readonly expected: number; readonly value: number };

/** What was there; of a write nothing is told. */
export type RegisterOutput = number | undefined;
export type RegisterOperation = Operation<RegisterInput, { readonly seen: RegisterOutput }>;

/** What a register holds before anything is written. */
export const initialValue = 0;

export const registerModel: SequentialModel<RegisterInput, { readonly seen: RegisterOutput }, number> = {
  initial: initialValue,
  partOf: ({ key }) => key,
  keyOf: (state) => state,
  step(state, input, output) {
    if (output?.seen !== undefined && output.seen !== state) return impossible;
    switch (input.kind) {
      case 'read':
        return state;
      case 'write':
      case 'swap':
        return input.value;
      case 'cas':
        return input.expected === state ? input.value : state;
    }
  },
};

/**
 * Leaves out calls of unknown outcome whose value nobody saw: if there is an order with them there is one without, for whoever came
 * behind one of them saw nothing of it. Each of those that stay may double the search.
 */
export function withoutUnseen(operations: readonly RegisterOperation[]): readonly RegisterOperation[] {
  const seen = new Set<string>();
  for (const { input, returned } of operations) {
    if (returned?.output.seen !== undefined) seen.add(`${input.key}:${returned.output.seen}`);
    if (input.kind === 'cas') seen.add(`${input.key}:${input.expected}`);
  }
  return operations.filter(
    ({ input, returned }) =>
      returned !== undefined || (input.kind !== 'read' && seen.has(`${input.key}:${input.value}`)),
  );
}
