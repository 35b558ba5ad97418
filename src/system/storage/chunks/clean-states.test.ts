import { expect, test } from 'vitest';
import { toChunkHandle } from '../../../core/base/brand.ts';
import type { ChunkState } from './chunk-state.ts';
import { CleanStates } from './clean-states.ts';

function state(handle: number, isIdle: boolean): ChunkState {
  return { handle: toChunkHandle(handle), isIdle, memoryBytes: 100 } as unknown as ChunkState;
}

test('states that stay in use, however many, do not keep all others from being forgotten', () => {
  const kept = new CleanStates(100);
  for (let handle = 1; handle <= 40; handle++) kept.keep(state(handle, false));
  for (let handle = 41; handle <= 5000; handle++) kept.keep(state(handle, true));
  const left = Array.from({ length: 5000 }, (_, n) => kept.get(toChunkHandle(n + 1))).filter(
    (one) => one !== undefined,
  );
  expect(left.filter(({ isIdle }) => !isIdle)).toHaveLength(40);
  expect(left.length).toBeLessThanOrEqual(140);
});
