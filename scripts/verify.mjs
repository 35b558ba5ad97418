// Everything that must hold before a commit. Changes no file under version control; `npm run fix` does.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './files.mjs';

const bin = (/** @type {string} */ name) => join(root, 'node_modules/.bin', name);

/** @type {ReadonlyArray<[name: string, command: string, args: string[]]>} */
const steps = [
  ['format', bin('biome'), ['format', '.']],
  ['lint', bin('biome'), ['check', '--formatter-enabled=false', '--error-on-warnings', '.']],
  ['types', bin('tsc'), ['-b']],
  ['architecture', bin('vitest'), ['run', 'src/architecture.test.ts']],
  ['docs', process.execPath, [join(root, 'scripts/check-docs.mjs')]],
  ['tests', process.execPath, [join(root, 'scripts/test.mjs')]],
];

const failed = [];
for (const [name, command, args] of steps) {
  console.log(`\n── ${name}`);
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) failed.push(name);
}
console.log(failed.length === 0 ? '\nverify: all is well' : `\nverify: failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
