import fc from 'fast-check';
import { expect, test } from 'vitest';
import { onlyFirst, withoutFirst } from './byte-parts.ts';

test('the first bytes and the rest together are the parts, wherever the cut lies (as after a short write)', () => {
  const partsAndCut = fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 9 }).chain((parts) => {
    const whole = parts.reduce((sum, part) => sum + part.length, 0);
    return fc.tuple(fc.constant(parts), fc.integer({ min: 0, max: whole }));
  });
  fc.assert(
    fc.property(partsAndCut, ([parts, cut]) => {
      const first = Buffer.concat(onlyFirst(parts, cut));
      const rest = Buffer.concat(withoutFirst(parts, cut));
      expect(first.length).toBe(cut);
      expect(Buffer.concat([first, rest])).toEqual(Buffer.concat(parts));
    }),
  );
});
