import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PagedFile, type SyncToken } from './paged-file.ts';
import { SimRandom } from './random.ts';

/** The model counts in cells; every write begins and ends at one. */
const cellBytes = 256;

/** The simplest disk that is right: for every cell what processes see, and the set of values that a power loss may leave. */
class Model {
  cached: number[] = [];
  possible: Set<number>[] = [];
  durableCells = 0;

  write(offset: number, length: number, value: number): void {
    while (this.cached.length < offset + length) {
      this.possible[this.cached.length] ??= new Set([0]);
      this.cached.push(0);
    }
    for (let at = offset; at < offset + length; at++) {
      this.cached[at] = value;
      this.possible[at]!.add(value);
    }
  }

  sync(): void {
    this.durableCells = this.cached.length;
    this.possible = this.cached.map((value) => new Set([value]));
  }
}

const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('write'), offset: fc.nat(240), length: fc.integer({ min: 1, max: 160 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sync') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('failedSync') }) },
) as fc.Arbitrary<{ kind: 'write'; offset: number; length: number } | { kind: 'sync' } | { kind: 'failedSync' }>;

describe('PagedFile', () => {
  test('reads what was written, and a power loss leaves only what may be left', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 16 }), fc.nat(), (operations, seed) => {
        const file = new PagedFile(SimRandom.fromSeed(seed));
        const model = new Model();
        let isTrusted = true;
        for (const [n, one] of operations.entries()) {
          if (one.kind === 'write') {
            file.write(one.offset * cellBytes, new Uint8Array(one.length * cellBytes).fill(n + 1));
            model.write(one.offset, one.length, n + 1);
          } else if (one.kind === 'sync') {
            file.finishSync(file.beginSync());
            if (isTrusted) model.sync();
          } else {
            file.failSync(file.beginSync());
            isTrusted = false;
          }
        }
        expect(cellsOf(file)).toEqual(model.cached);
        file.losePower();
        const left = cellsOf(file);
        expect(left.length).toBeGreaterThanOrEqual(model.durableCells);
        expect(left.length).toBeLessThanOrEqual(model.cached.length);
        expect(left.findIndex((value, at) => !model.possible[at]!.has(value))).toBe(-1);
      }),
      { numRuns: 500 },
    );
  });

  test('syncs that overlap leave the bytes of the one that began last', () => {
    const begin = (file: PagedFile, value: number): SyncToken => {
      file.write(0, new Uint8Array(600).fill(value));
      return file.beginSync();
    };
    for (const order of ['first first', 'last first']) {
      const file = new PagedFile(SimRandom.fromSeed(1));
      const tokens = [begin(file, 1), begin(file, 2)];
      file.write(0, new Uint8Array(600).fill(3));
      if (order === 'last first') tokens.reverse();
      for (const token of tokens) file.finishSync(token);
      const durable = new Uint8Array(600);
      expect(file.readDurable(0, durable)).toBe(600);
      expect(durable).toEqual(new Uint8Array(600).fill(2));
      expect(file.durableBytes).toBe(600);
    }
  });

  test('a sync that began earlier and ends later does not take the size back', () => {
    const file = new PagedFile(SimRandom.fromSeed(1));
    file.write(0, new Uint8Array(100));
    const early = file.beginSync();
    file.write(100, new Uint8Array(100));
    file.finishSync(file.beginSync());
    file.finishSync(early);
    expect(file.durableBytes).toBe(200);
  });

  test('a sparse file takes room for what is written alone', () => {
    const meter = { pages: 0 };
    const file = new PagedFile(SimRandom.fromSeed(1));
    file.attach(meter);
    file.truncate(64 * 1024 * 1024);
    expect(meter.pages).toBe(0);
    file.write(50_000_000, new Uint8Array(10));
    expect(meter.pages).toBe(1);
    file.truncate(0);
    expect(meter.pages).toBe(0);
  });
});

/** The value of each cell; a cell that holds two is a mistake of the disk. */
function cellsOf(file: PagedFile): number[] {
  const bytes = new Uint8Array(file.sizeBytes);
  file.read(0, bytes);
  const cells: number[] = [];
  for (let at = 0; at < bytes.length; at += cellBytes) {
    const cell = bytes.subarray(at, at + cellBytes);
    cells.push(cell.every((byte) => byte === cell[0]) ? cell[0]! : -1);
  }
  return cells;
}
