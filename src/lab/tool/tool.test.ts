import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const execute = promisify(execFile);
const run = (bundle: string, ...args: readonly string[]) =>
  execute(process.execPath, [fileURLToPath(new URL(`../../../dist/${bundle}.js`, import.meta.url)), ...args]);

describe.each([
  ['bench', 'bench', ['only', 'runs', 'count', 'quick', 'json', 'save']],
  ['kills', 'kills', ['rounds', 'engine', 'dir', 'json']],
  ['mutants', 'mutants', ['only', 'seeds', 'seconds', 'json']],
])('npm run %s', (name, bundle, options) => {
  it('explains every option when it is asked to', async () => {
    const { stdout } = await run(bundle, '--help');
    for (const option of options) expect(stdout).toMatch(new RegExp(`--${option}[ \n]`));
  });

  it('says of an option that there is not that it is wrong usage, and where help is', async () => {
    await expect(run(bundle, '--nonsense')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(new RegExp(`--nonsense.*npm run ${name} -- --help`, 's')),
    });
  });
});

it('a benchmark that there is not is refused with the names of those that there are', async () => {
  await expect(run('bench', '--only', 'teleports')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('lookups, 100 in flight'),
  });
});

it('a run that cannot go on is told apart from one that found something', async () => {
  await expect(run('kills', '--rounds', '1', '--dir', '/dev/null/nowhere')).rejects.toMatchObject({ code: 3 });
});
