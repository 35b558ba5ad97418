import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CairnError } from '../../../core/base/errors.ts';
import type { NodePlan } from './layout.ts';
import { Supervisor } from './supervisor.ts';

let dir: string;
let supervisor: Supervisor;
let program: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cairn-supervisor-'));
  program = join(dir, 'program.mjs');
});
afterEach(async () => {
  await supervisor.stop();
  rmSync(dir, { recursive: true, force: true });
});

const plan = (id: number): NodePlan => ({
  ...{ role: 'chunkserver', id, name: `chunkserver-${id}`, address: '', dir },
  ...{ configFile: join(dir, `${id}.yaml`), logFile: join(dir, `${id}.log`) },
});

/** What becomes of one that is refused in its first run, when `before` has happened. */
async function afterRefusal(
  before: (supervisor: Supervisor) => void,
): Promise<[what: string, error?: CairnError | undefined]> {
  writeFileSync(program, `console.error('cairn: [DIR_IN_USE] taken'); process.exitCode = 12;`);
  return new Promise((tell) => {
    supervisor = new Supervisor([plan(1)], program, {
      started: () => before(supervisor),
      died: (_node, { error }) => tell(['died', error]),
      hopeless: (_node, error) => tell(['hopeless', error]),
      left: () => tell(['left']),
      eventsLost: () => undefined,
    });
    supervisor.start();
  });
}

describe('a process that is refused in its first run', () => {
  const refusal = expect.objectContaining({ code: 'DIR_IN_USE', message: 'chunkserver-1: taken' });

  it('ends all while the cluster comes up', async () => {
    expect(await afterRefusal(() => undefined)).toEqual(['hopeless', refusal]);
  });

  it('ends nobody else once the cluster serves', async () => {
    expect(await afterRefusal((it) => it.ready())).toEqual(['died', refusal]);
  });
});
