import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../platform/sim/random.ts';
import { checkLinearizable } from './checker.ts';
import { type RegisterInput, type RegisterOperation, registerModel, withoutUnseen } from './register-model.ts';

/**
 * A history drawn as it is meant: one line a client, `-` for time that goes by, a call from its letter to `|`; `?` at the end of a call
 * whose outcome is unknown. `w1` writes 1, `r1` reads 1, `x1:0` exchanges 0 for 1, `c0>1:0` compares with 0, sets 1, sees 0.
 */
function history(...lines: string[]): RegisterOperation[] {
  return lines.flatMap((line, client) =>
    [...line.matchAll(/([wrxc][\d>:]+)[ .]*([|?])/g)].map((found): RegisterOperation => {
      const { input, seen } = parse(found[1]!);
      const at = found.index + found[0].length - 1;
      return {
        client,
        invokedAt: found.index,
        input,
        returned: found[2] === '?' ? undefined : { at, output: { seen } },
      };
    }),
  );
}

function parse(call: string): { input: RegisterInput; seen: number | undefined } {
  const [first = 0, second, third] = [...call.matchAll(/\d+/g)].map(([digits]) => Number(digits));
  switch (call[0]) {
    case 'w':
      return { input: { kind: 'write', key: 1, value: first }, seen: undefined };
    case 'r':
      return { input: { kind: 'read', key: 1 }, seen: first };
    case 'x':
      return { input: { kind: 'swap', key: 1, value: first }, seen: second };
    default:
      return { input: { kind: 'cas', key: 1, expected: first, value: second! }, seen: third };
  }
}

function verdictOf(operations: readonly RegisterOperation[], workMax?: number) {
  return checkLinearizable(registerModel, operations, workMax).kind;
}

describe('histories that are right', () => {
  it.each([
    ['calls one after another', ['w1|  r1|  w2|  r2|']],
    ['a read that overlaps a write sees the old value', ['w1|   w2......|', '       r1|    ']],
    ['or the new one', ['w1|   w2......|', '       r2|    ']],
    ['two overlapping writes in either order', ['w1.....|', 'w2.....|  ', '         r1|']],
    ['a write of unknown outcome that took effect late', ['w1|  w2?', '          r1|  r2|']],
    ['a write of unknown outcome that never did', ['w1|  w2?', '          r1|  r1|']],
    ['a compare-and-set that failed tells what it saw', ['w1|  c0>2:1|  r1|']],
    ['a compare-and-set that succeeded', ['w1|  c1>2:1|  r2|']],
    ['one of unknown outcome that could only fail', ['w1|  c0>2:?', '            r1|']],
    ['exchanges chain', ['x1:0|  x2:1|', '              x3:2|']],
    ['nothing', ['']],
  ])('%s', (_, lines) => {
    const operations = history(...lines);
    expect(verdictOf(operations)).toBe('linearizable');
    expect(verdictOf(withoutUnseen(operations))).toBe('linearizable');
  });
});

describe('histories that are wrong', () => {
  it.each([
    ['a read after a write sees the old value', ['w1|  r0|']],
    ['a value that nobody wrote', ['w1|  r7|']],
    ['a value comes back', ['w1|  w2|  r2|  r1|']],
    [
      'two readers see two writes in two orders',
      ['w1.............|', 'w2.............|', '  r1|  r2|     ', '  r2|  r1|     '],
    ],
    ['the new value, then the old one, while it is written', ['w1|   w2..............|', '        r2|  r1|    ']],
    ['a write is lost', ['x1:0|  x2:0|']],
    ['a write takes effect twice', ['w1|  x2:1|  x3:1|']],
    ['one of unknown outcome takes effect before it was called', ['r1|  w1?']],
    ['one of unknown outcome takes effect twice', ['w1?', '     w2|  r1|  w3|  r1|']],
    ['two compare-and-sets succeed on one value', ['c0>1:0....|', 'c0>2:0....|']],
    ['a read sees what only a compare-and-set that failed would have written', ['c5>1:0|  r1|']],
  ])('%s', (_, lines) => {
    const operations = history(...lines);
    expect(verdictOf(operations)).toBe('violation');
    expect(verdictOf(withoutUnseen(operations))).toBe('violation');
  });

  it('say which calls cannot come next, and what came before', () => {
    const verdict = checkLinearizable(registerModel, history('w1|  w2|  r1|'));
    expect(verdict).toMatchObject({ kind: 'violation', part: 1 });
    if (verdict.kind !== 'violation') return;
    expect(verdict.placed.map(({ input }) => input.kind)).toEqual(['write', 'write']);
    expect(verdict.stuck.map(({ input }) => input.kind)).toEqual(['read']);
  });
});

describe('the search', () => {
  /** Clients at work on one register that is right: each call takes effect at a moment within it. */
  function drawRight(seed: number, calls: number, clients: number, unknownPercent: number): RegisterOperation[] {
    const random = SimRandom.fromSeed(seed);
    const busyUntil = Array.from({ length: clients }, () => 0);
    const drawn = Array.from({ length: calls }, (_, i) => {
      const client = random.below(clients);
      const invokedAt = busyUntil[client]! + random.below(10);
      const effectAt = invokedAt + 1 + random.below(20);
      const returnedAt = effectAt + 1 + random.below(20);
      busyUntil[client] = returnedAt + 1;
      const isUnknown = random.below(100) < unknownPercent;
      return {
        client,
        invokedAt,
        effectAt,
        returnedAt,
        isUnknown,
        happens: !isUnknown || random.chance(0.5),
        value: i + 1,
      };
    });
    let state = 0;
    return drawn
      .sort((a, b) => a.effectAt - b.effectAt)
      .map(({ client, invokedAt, returnedAt, isUnknown, happens, value }): RegisterOperation => {
        const kind = random.pick(['read', 'write', 'swap', 'cas'] as const);
        const expected = random.chance(0.7) ? state : value - 1;
        const input = { kind, key: 1, value, expected } as RegisterInput;
        const output = { seen: kind === 'write' ? undefined : state };
        const next = registerModel.step(state, input, undefined);
        if (happens && typeof next === 'number') state = next;
        return { client, invokedAt, input, returned: isUnknown ? undefined : { at: returnedAt, output } };
      });
  }

  it('finds the order of every history that has one', () => {
    for (let seed = 1; seed <= 150; seed++) {
      const operations = drawRight(seed, 40, 5, seed % 3 === 0 ? 20 : 0);
      expect(verdictOf(operations), `seed ${seed}`).toBe('linearizable');
      expect(verdictOf(withoutUnseen(operations)), `seed ${seed}`).toBe('linearizable');
    }
  });

  it('agrees with a search through all orders on small histories, right and wrong', () => {
    const found = { linearizable: 0, violation: 0, gaveUp: 0 };
    for (let seed = 1; seed <= 400; seed++) {
      const operations = damage(drawRight(seed, 7, 3, 15), seed);
      const verdict = verdictOf(operations);
      found[verdict] += 1;
      expect(verdict === 'linearizable', `seed ${seed}`).toBe(hasOrder(operations, 0));
      expect(verdictOf(withoutUnseen(operations)), `seed ${seed}, unseen ones left out`).toBe(verdict);
    }
    expect(found.linearizable).toBeGreaterThan(40);
    expect(found.violation).toBeGreaterThan(40);
    expect(found.gaveUp).toBe(0);
  });

  it('is quick on a long history, and finds one wrong read in it', () => {
    const operations = drawRight(11, 5_000, 8, 0);
    const began = performance.now();
    expect(verdictOf(operations)).toBe('linearizable');
    const wrong = operations.slice();
    const at = wrong.findLastIndex(({ input, returned }) => input.kind === 'read' && returned !== undefined);
    const read = wrong[at]!;
    wrong[at] = { ...read, returned: { at: read.returned!.at, output: { seen: 0 } } };
    expect(verdictOf(wrong)).toBe('violation');
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it('gives up, and says so, when it takes too much work', () => {
    expect(checkLinearizable(registerModel, drawRight(1, 200, 8, 0), 50)).toMatchObject({ kind: 'gaveUp', part: 1 });
  });
});

/** Changes one thing that was seen, or nothing. */
function damage(operations: RegisterOperation[], seed: number): RegisterOperation[] {
  const at = seed % operations.length;
  const { returned } = operations[at]!;
  if (seed % 4 === 0 || returned?.output.seen === undefined) return operations;
  const seen = (seed * 7) % (operations.length + 1);
  return operations.map((operation, i) =>
    i === at ? { ...operation, returned: { at: returned.at, output: { seen } } } : operation,
  );
}

/** By the definition, without any cleverness. */
function hasOrder(left: readonly RegisterOperation[], state: number): boolean {
  if (left.every(({ returned }) => returned === undefined)) return true;
  const until = Math.min(...left.map(({ returned }) => returned?.at ?? Number.POSITIVE_INFINITY));
  return left.some((operation, i) => {
    if (operation.invokedAt > until) return false;
    const next = registerModel.step(state, operation.input, operation.returned?.output);
    return typeof next === 'number' && hasOrder([...left.slice(0, i), ...left.slice(i + 1)], next);
  });
}
