// Fills docs/findings.md from its template and from the reports that are committed beside it: no figure is typed by hand.
// `node scripts/findings.mjs`           renders again.
// `node scripts/findings.mjs --from DIR` takes over the reports that `cairn lab … --out DIR` has written, and renders.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './files.mjs';
import { chartToSvg } from './findings-svg.mjs';

const folder = join(root, 'docs/findings');
const templatePath = join(root, 'docs/findings.template.md');
const findingsPath = join(root, 'docs/findings.md');
const missing = 'not measured yet';

/** @typedef {{ unit: string, median: number, min: number, max: number, runs: number[] }} Metric */
/** @typedef {{ experiment: string, environment: Record<string, string | number>, settings: Record<string, unknown>, subjects: { name: string, metrics: Record<string, Metric> }[], ratios: Record<string, number>, goals: { name: string, want: string, got: number, met: boolean }[], charts: import('./findings-svg.mjs').Chart[] }} Report */

/** @returns {Map<string, Report>} by experiment */
export function committedReports() {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  return new Map(
    names.map((name) => [name.replace('.json', ''), JSON.parse(readFileSync(join(folder, name), 'utf8'))]),
  );
}

/**
 * @param {string} template
 * @param {Map<string, Report>} reports
 * @returns {{ text: string, charts: Map<string, string> }} charts: SVG by file name
 */
export function render(template, reports) {
  const charts = /** @type {Map<string, string>} */ (new Map());
  const text = template.replaceAll(/\{\{(\w+) ([\w-]+)(?:: ([^}]*))?\}\}/g, (_, kind, name, rest = '') => {
    const report = reports.get(name);
    const parts = /** @type {string} */ (rest).split('|').map((part) => part.trim());
    switch (kind) {
      case 'made':
        return report === undefined ? `\`${name}\`: ${missing}.` : madeLine(name, report);
      case 'goals':
        return report === undefined ? '' : goalsTable(report);
      case 'table':
        return report === undefined ? '' : metricsTable(report, listOf(parts[0]), listOf(parts[1]));
      case 'ratio':
        return figure(report?.ratios[parts[0] ?? '']);
      case 'median':
        return medianOf(report, parts[0] ?? '', parts[1] ?? '');
      case 'chart':
        return report === undefined ? '' : chartImage(name, report, parts[0] ?? '', charts);
      default:
        throw new Error(`the template says ${kind}; known are made, goals, table, ratio, median, chart`);
    }
  });
  return { text: text.replaceAll(/\n{3,}/g, '\n\n'), charts };
}

function listOf(/** @type {string | undefined} */ text) {
  return (text ?? '')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function figure(/** @type {number | undefined} */ n) {
  if (n === undefined) return missing;
  return Math.abs(n) >= 1000 ? Math.round(n).toLocaleString('en-US') : String(Number(n.toPrecision(3)));
}

function madeLine(/** @type {string} */ name, /** @type {Report} */ { environment, settings }) {
  const { cores, node, processor, date, flushMs } = environment;
  const quick = settings.quick === true ? ' **A quick run: these figures mean little.**' : '';
  const runs = settings.rounds === undefined ? '' : `${settings.rounds} rounds, `;
  const minutes = Number(settings.tookSeconds ?? 0) / 60;
  return `Figures from [${name}.json](findings/${name}.json): \`cairn lab ${name}\`, ${runs}${minutes.toFixed(1)} min, on ${String(date).slice(0, 10)}; ${cores} cores (${processor}), Node ${String(node).replace('v', '')}, one flush ${flushMs} ms.${quick}`;
}

function goalsTable(/** @type {Report} */ { goals }) {
  const rows = goals.map(
    ({ name, want, got, met }) => `| ${name} | ${want} | ${figure(got)} | ${met ? 'met' : '**missed**'} |`,
  );
  return ['| goal | wanted | measured | |', '|---|---|---|---|', ...rows].join('\n');
}

/** Of the subjects named, or of all; median, and the least and the most of the rounds. */
function metricsTable(
  /** @type {Report} */ { subjects },
  /** @type {string[]} */ metrics,
  /** @type {string[]} */ names,
) {
  const shown = subjects.filter(({ name }) => names.length === 0 || names.includes(name));
  const unitOf = (/** @type {string} */ metric) =>
    shown.map(({ metrics }) => metrics[metric]?.unit).find(Boolean) ?? '';
  const rows = metrics.map((metric) => {
    const cells = shown.map(({ metrics }) => spread(metrics[metric]));
    return `| ${metric}${unitOf(metric) === '1' ? '' : `, ${unitOf(metric)}`} | ${cells.join(' | ')} |`;
  });
  return [
    `| | ${shown.map(({ name }) => name).join(' | ')} |`,
    `|---|${shown.map(() => '---|').join('')}`,
    ...rows,
  ].join('\n');
}

function spread(/** @type {Metric | undefined} */ metric) {
  if (metric === undefined) return '–';
  const { median, min, max, runs } = metric;
  return runs.length === 1 ? figure(median) : `${figure(median)} (${figure(min)} … ${figure(max)})`;
}

function medianOf(
  /** @type {Report | undefined} */ report,
  /** @type {string} */ subject,
  /** @type {string} */ metric,
) {
  const found = report?.subjects.find(({ name }) => name === subject)?.metrics[metric];
  return found === undefined ? missing : figure(found.median);
}

/** @returns {string} the image; its file is added to `charts` */
function chartImage(
  /** @type {string} */ name,
  /** @type {Report} */ report,
  /** @type {string} */ title,
  /** @type {Map<string, string>} */ charts,
) {
  const at = report.charts.findIndex((chart) => chart.title.startsWith(title));
  if (at < 0) return '';
  const file = `${name}-${at + 1}.svg`;
  charts.set(file, chartToSvg(/** @type {import('./findings-svg.mjs').Chart} */ (report.charts[at])));
  return `![${report.charts[at]?.title}](findings/${file})`;
}

function takeOver(/** @type {string} */ from) {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(from)) {
    const path = join(from, name, 'report.json');
    if (!existsSync(path)) continue;
    writeFileSync(join(folder, `${name}.json`), readFileSync(path));
    process.stdout.write(`took over ${name}\n`);
  }
}

function writeAll() {
  const { text, charts } = render(readFileSync(templatePath, 'utf8'), committedReports());
  for (const old of readdirSync(folder).filter((name) => name.endsWith('.svg'))) rmSync(join(folder, old));
  for (const [file, svg] of charts) writeFileSync(join(folder, file), svg);
  writeFileSync(findingsPath, text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const from = process.argv.indexOf('--from');
  if (from > 0) takeOver(process.argv[from + 1] ?? '');
  writeAll();
}
