import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OrderedMap } from './ordered-map.ts';

type Command =
  | { readonly kind: 'set' | 'delete' | 'get'; readonly key: string }
  | { readonly kind: 'scan'; readonly from: string; readonly to: string }
  | { readonly kind: 'ascend' | 'drop'; readonly count: number }
  | { readonly kind: 'clone' };

/** The plainest ordered map: a sorted array. */
class SortedArray {
  pairs: [string, number][] = [];
  get(key: string): number | undefined {
    return this.pairs.find(([k]) => k === key)?.[1];
  }
  set(key: string, value: number): void {
    const found = this.pairs.find(([k]) => k === key);
    if (found !== undefined) found[1] = value;
    else {
      this.pairs.push([key, value]);
      this.pairs.sort(([a], [b]) => (a < b ? -1 : 1));
    }
  }
  delete(key: string): void {
    this.pairs = this.pairs.filter(([k]) => k !== key);
  }
  scan(from: string, to: string): [string, number][] {
    return this.pairs.filter(([k]) => k >= from && k < to);
  }
  copy(): SortedArray {
    const copy = new SortedArray();
    copy.pairs = this.pairs.map(([k, v]) => [k, v]);
    return copy;
  }
}

const key = fc.oneof(
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 3 }),
  fc.integer({ min: 0, max: 999 }).map((n) => `k${n}`),
);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('set', 'delete', 'get'), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('scan'), from: key, to: key }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('ascend', 'drop'), count: fc.integer({ min: 1, max: 400 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'clone' as const }) },
);

function run(command: Command, map: OrderedMap<number>, model: SortedArray, serial: number): void {
  if (command.kind === 'set') {
    expect(map.set(command.key, serial)).toBe(model.get(command.key));
    model.set(command.key, serial);
  } else if (command.kind === 'delete') {
    expect(map.delete(command.key)).toBe(model.get(command.key));
    model.delete(command.key);
  } else if (command.kind === 'get') expect(map.get(command.key)).toBe(model.get(command.key));
  else if (command.kind === 'scan') {
    expect([...map.entries(command.from, command.to)]).toEqual(model.scan(command.from, command.to));
  } else if (command.kind === 'ascend') {
    for (let i = 0; i < command.count; i++) {
      map.set(`k${i}`, serial);
      model.set(`k${i}`, serial);
    }
  } else if (command.kind === 'drop') {
    for (const [k] of model.pairs.slice(0, command.count)) map.delete(k);
    model.pairs = model.pairs.slice(command.count);
  }
}

describe('the ordered map', () => {
  test('does what a sorted array does, and so do its clones, apart from each other', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const worlds = [{ map: new OrderedMap<number>(), model: new SortedArray() }];
        commands.forEach((command, i) => {
          const { map, model } = worlds[i % worlds.length]!;
          if (command.kind === 'clone' && worlds.length < 4) worlds.push({ map: map.clone(), model: model.copy() });
          else run(command, map, model, i + 1);
        });
        for (const { map, model } of worlds) {
          map.invariants();
          expect([...map.entries()]).toEqual(model.pairs);
          expect(map.size).toBe(model.pairs.length);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('orders keys as bytes', () => {
    const map = new OrderedMap<number>();
    const keys = ['\x00', '\x7f', '\x80', '\xff', '\xff\x00', 'a', 'aa', ''];
    keys.forEach((k, i) => {
      map.set(k, i);
    });
    expect([...map.entries()].map(([k]) => k)).toEqual(['', '\x00', 'a', 'aa', '\x7f', '\x80', '\xff', '\xff\x00']);
  });

  test('gives its nodes back when it is emptied', () => {
    const map = new OrderedMap<number>();
    for (let i = 0; i < 20_000; i++) map.set(`${(i * 7919) % 20_000}`, i);
    for (let i = 0; i < 20_000; i++) map.delete(`${(i * 104_729) % 20_000}`);
    map.invariants();
    expect(map.size).toBe(0);
    expect([...map.entries()]).toEqual([]);
  });
});
