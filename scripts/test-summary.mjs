// A vitest reporter that counts, and leaves the counts for scripts/test.mjs to print last.
import { writeFileSync } from 'node:fs';

/**
 * @typedef {{ passed: number, failed: number, skipped: string[] }} TestSummary
 * @typedef {import('vitest/node').TestModule} TestModule
 * @typedef {import('vitest/node').TestCase} TestCase
 * @typedef {import('vitest/node').Reporter} Reporter
 */

export const summaryPathVariable = 'CAIRN_TEST_SUMMARY';

/** @implements {Reporter} */
export class TestSummaryReporter {
  /**
   * @param {ReadonlyArray<TestModule>} modules
   * @param {ReadonlyArray<unknown>} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const path = process.env[summaryPathVariable];
    if (path !== undefined) writeFileSync(path, JSON.stringify(summarise(modules, unhandledErrors.length)));
  }
}

/**
 * A file that does not load, a suite whose hooks throw and an error outside any test each count as one failure,
 * and so does a test that never came to an end.
 * @param {ReadonlyArray<TestModule>} modules
 * @param {number} unhandledErrors
 * @returns {TestSummary}
 */
export function summarise(modules, unhandledErrors) {
  const summary = { passed: 0, failed: unhandledErrors, skipped: /** @type {string[]} */ ([]) };
  for (const module of modules) {
    summary.failed += module.errors().length;
    for (const suite of module.children.allSuites()) summary.failed += suite.errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') summary.passed += 1;
      else if (state === 'skipped') summary.skipped.push(nameOf(module, test));
      else summary.failed += 1;
    }
  }
  return summary;
}

/**
 * @param {TestModule} module
 * @param {TestCase} test
 */
function nameOf(module, test) {
  const result = test.result();
  const note = result.state === 'skipped' && result.note !== undefined ? ` (${result.note})` : '';
  return `${module.relativeModuleId} > ${test.fullName}${note}`;
}

// biome-ignore lint/style/noDefaultExport: vitest loads a reporter file by its default export
export default TestSummaryReporter;
