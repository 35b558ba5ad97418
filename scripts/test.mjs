// Runs vitest with the arguments given; the last line printed is `N passed, N failed` (and `, N skipped`).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './files.mjs';
import { summaryPathVariable } from './test-summary.mjs';

const scratch = mkdtempSync(join(tmpdir(), 'cairn-test-'));
try {
  process.exitCode = runTests(join(scratch, 'summary.json'));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** @returns {number} the exit code: 0 only when tests ran and all of them passed or were skipped. */
function runTests(/** @type {string} */ summaryPath) {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts/test-summary.mjs')}`];
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, [summaryPathVariable]: summaryPath },
  });
  const { passed, failed, skipped } = readSummary(summaryPath);
  for (const name of skipped) console.log(`skipped: ${name}`);
  const failures = status === 0 ? failed : Math.max(failed, 1);
  console.log(`${passed} passed, ${failures} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`);
  return failures === 0 ? 0 : 1;
}

/** A run that ended before it could count (a crash, bad arguments) counts as one failure. */
function readSummary(/** @type {string} */ path) {
  if (!existsSync(path)) return { passed: 0, failed: 1, skipped: [] };
  return /** @type {import('./test-summary.mjs').TestSummary} */ (JSON.parse(readFileSync(path, 'utf8')));
}
