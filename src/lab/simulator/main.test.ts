import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const execute = promisify(execFile);
const program = fileURLToPath(new URL('../../../dist/simulator.js', import.meta.url));
const sim = (...args: readonly string[]) => execute(process.execPath, [program, ...args]);

it.each([['--help'], ['run', '--help'], ['replay', '-h']])(
  'help is given for %s %s, and names every option',
  async (...args) => {
    const { stdout } = await sim(...args);
    for (const option of [
      'engine',
      'seeds',
      'start',
      'seed',
      'members',
      'elector',
      'scenario',
      'jobs',
      'until-failure',
      'seconds',
      'out',
      'verbose',
      'json',
    ])
      expect(stdout).toContain(`--${option} `);
  },
);

it('an option that there is not is wrong usage, and help is pointed to', async () => {
  await expect(sim('run', '--sedes', '3')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/--sedes.*npm run sim -- --help/s),
  });
});

it('threads find what one thread finds, and tell it in the same order', async () => {
  const seeds = async (...more: readonly string[]) => {
    const { stdout } = await sim('run', '--seeds', '40', '--start', '900', '--json', ...more);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    return lines.map(({ seed, passed, hash, events }) => ({ seed, passed, hash, events }));
  };
  expect(await seeds('--jobs', '2')).toEqual(await seeds());
}, 60_000);
