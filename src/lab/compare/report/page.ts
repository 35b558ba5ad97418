/** A report as one HTML file that needs nothing else: style, charts and their library are in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../tool/project-root.ts';
import { style } from './page-style.ts';
import type { Metric, Report, Setting } from './report.ts';
import { figure } from './table.ts';

export function renderPage(report: Report): string {
  // Both are made by the build: the page's own script with uPlot in it, and uPlot's style.
  const script = readFileSync(join(projectRoot, 'dist/report-page.js'), 'utf8');
  const chartStyle = readFileSync(join(projectRoot, 'dist/report-page.css'), 'utf8');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${html(report.experiment)} – Cairn lab</title>
<link rel="icon" href="data:,">
<style>${chartStyle}${style}</style>
</head>
<body>
<main>
<h1>${html(report.experiment)}</h1>
<p class="question">${html(report.question)}</p>
${report.settings.quick === true ? '<p class="warning">A quick run: it shows that the experiment works; its figures mean little.</p>' : ''}
${goals(report)}
${charts(report)}
${ratios(report)}
${metrics(report)}
${notes(report)}
${facts('Settings', report.settings)}
${facts('Environment', report.environment)}
</main>
<script type="application/json" id="charts">${embedded(report.charts)}</script>
<script>${script.replaceAll('</script', '<\\/script')}</script>
</body>
</html>
`;
}

function html(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** JSON within a script element: nothing in it may end the element. */
function embedded(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function section(title: string, body: string): string {
  return body === '' ? '' : `<section><h2>${title}</h2>${body}</section>`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const cells = (tag: string, row: readonly string[]) => row.map((cell) => `<${tag}>${html(cell)}</${tag}>`).join('');
  const body = rows.map(([first = '', ...rest]) => `<tr><th scope="row">${html(first)}</th>${cells('td', rest)}</tr>`);
  return `<div class="scroll"><table><thead><tr>${cells('th', head)}</tr></thead><tbody>${body.join('')}</tbody></table></div>`;
}

function goals({ goals }: Report): string {
  const rows = goals.map(
    ({ name, want, got, met }) =>
      `<tr><th scope="row">${html(name)}</th><td>${html(want)}</td><td>${figure(got)}</td><td class="${met ? 'met' : 'missed'}">${met ? 'met' : 'missed'}</td></tr>`,
  );
  if (rows.length === 0) return '';
  return section(
    'Goals',
    `<div class="scroll"><table><thead><tr><th>goal</th><th>want</th><th>got</th><th></th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`,
  );
}

function charts({ charts }: Report): string {
  const figures = charts.map(
    ({ title }, i) =>
      `<figure><figcaption>${html(title)}</figcaption><div class="chart" id="chart-${i}"></div></figure>`,
  );
  return figures.length === 0 ? '' : `<div class="charts">${figures.join('')}</div>`;
}

function ratios({ ratios }: Report): string {
  const rows = Object.entries(ratios).map(([name, value]) => [name, figure(value)]);
  return section('Ratios', table(['subject/other, metric', 'ratio'], rows));
}

function metrics({ subjects }: Report): string {
  const units = new Map<string, string>();
  for (const { metrics } of subjects) for (const [name, { unit }] of Object.entries(metrics)) units.set(name, unit);
  const cell = (metric: Metric | undefined): string => {
    if (metric === undefined) return '';
    const { median, min, max, runs } = metric;
    return runs.length === 1 ? figure(median) : `${figure(median)} (${figure(min)} … ${figure(max)})`;
  };
  const rows = [...units].map(([name, unit]) => [name, unit, ...subjects.map(({ metrics }) => cell(metrics[name]))]);
  const head = ['metric', 'unit', ...subjects.map(({ name }) => name)];
  return section('Figures: median (least … most) of the rounds', table(head, rows));
}

function notes({ notes, skipped }: Report): string {
  const lines = [...notes, ...skipped.map(({ subject, why }) => `Skipped: ${subject}: ${why}`)];
  return section(
    'To be known',
    lines.length === 0 ? '' : `<ul>${lines.map((line) => `<li>${html(line)}</li>`).join('')}</ul>`,
  );
}

function facts(title: string, values: Readonly<Record<string, Setting>>): string {
  const rows = Object.entries(values).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(', ') : String(value),
  ]);
  return section(title, table(['', ''], rows));
}
