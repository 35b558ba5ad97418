import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { killRounds } from './kill-rounds.ts';

const program = fileURLToPath(new URL('../../../bin/cairn', import.meta.url));

/** `npm run kills -- --rounds 200` is the same, longer. */
test('of what is appended in mode strong while processes are killed nothing is lost, out of order, doubled or torn', {
  timeout: 120_000,
}, async () => {
  const { strong, async: loose } = await killRounds({ program, rounds: 2 });
  expect(strong).toMatchObject({ lost: [], disordered: [], doubled: [], torn: [] });
  expect(strong.acknowledged).toBeGreaterThan(50);
  expect(loose).toMatchObject({ doubled: [], torn: [] });
});
