// Whether a second run of the lab says what the first said: `node scripts/compare-reports.mjs DIR DIR` compares the ratios of the reports in
// both, and ends with 1 when a headline (a ratio that a goal is set for) has moved by more than 15 %.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const movedMax = 0.15;

/** @typedef {{ experiment: string, ratios: Record<string, number>, goals: { name: string }[] }} Report */

/**
 * @param {Report} first
 * @param {Report} second
 * @returns {{ name: string, first: number, second: number, moved: number, isHeadline: boolean }[]} ratios that both have; the one that moved most first
 */
export function movedRatios(first, second) {
  const headlines = new Set(first.goals.map(({ name }) => name));
  return Object.entries(first.ratios)
    .flatMap(([name, was]) => {
      const is = second.ratios[name];
      if (is === undefined) return [];
      return [{ name, first: was, second: is, moved: Math.abs(is / was - 1), isHeadline: headlines.has(name) }];
    })
    .toSorted((a, b) => b.moved - a.moved);
}

/** @returns {Map<string, Report>} by experiment, of a directory that `cairn lab … --out` has written */
function reportsIn(/** @type {string} */ directory) {
  const names = readdirSync(directory).filter((name) => existsSync(join(directory, name, 'report.json')));
  return new Map(names.map((name) => [name, JSON.parse(readFileSync(join(directory, name, 'report.json'), 'utf8'))]));
}

function compare(/** @type {string} */ firstDirectory, /** @type {string} */ secondDirectory) {
  const second = reportsIn(secondDirectory);
  let tooMuch = 0;
  for (const [name, report] of reportsIn(firstDirectory)) {
    const other = second.get(name);
    if (other === undefined) continue;
    const moved = movedRatios(report, other);
    const headlines = moved.filter(({ isHeadline }) => isHeadline);
    tooMuch += headlines.filter((ratio) => ratio.moved > movedMax).length;
    const within = moved.filter((ratio) => ratio.moved <= movedMax).length;
    process.stdout.write(`${name}: ${within} of ${moved.length} ratios moved by at most ${movedMax * 100} %\n`);
    for (const ratio of headlines)
      process.stdout.write(`  ${ratio.name}: ${ratio.first} → ${ratio.second}, ${Math.round(ratio.moved * 100)} %\n`);
  }
  process.exitCode = tooMuch > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , first, second] = process.argv;
  if (first === undefined || second === undefined) {
    process.stderr.write('usage: node scripts/compare-reports.mjs DIR DIR\n');
    process.exitCode = 2;
  } else compare(first, second);
}
