import { expect, test } from 'vitest';
import { CairnError } from '../../core/base/errors.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { Attempts } from './attempts.ts';

test('what an operation is given up for is the full disk it has met, and not what the cluster says to itself meanwhile', () => {
  const attempts = new Attempts(testWorld(1).node('c').env, 100);
  attempts.failed('the change', new CairnError('DISK_FULL', 'the disk is full'), true);
  attempts.failed('the change', new CairnError('STALE_VERSION', 'ask for a new grant'), true);
  for (const code of ['STALE_VERSION', 'NO_SERVERS'] as const)
    expect(attempts.giveUp('the change', new CairnError(code, 'ask again'))).toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringContaining('the disk is full'),
    });
  expect(attempts.giveUp('the change', new CairnError('NO_QUORUM', 'no master leads')).code).toBe('TIMED_OUT');
});

test('that the bytes are no longer those of the first attempt says nothing of what became of that', () => {
  const attempts = new Attempts(testWorld(1).node('c').env, 100);
  const changed = new CairnError('INVALID_ARGUMENT', 'the bytes were changed');
  expect(attempts.giveUp('the change', changed)).toBe(changed);
  attempts.failed('the change', new CairnError('CONNECTION_LOST', 'it is gone'), true);
  expect(attempts.giveUp('the change', changed).code).toBe('TIMED_OUT');
});
