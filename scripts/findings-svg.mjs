// Draws the charts of a lab report as SVG files for docs/findings.md: the same data as on the report's page, for readers without it.

const width = 720;
const height = 320;
const left = 70;
const right = 16;
const top = 34;
const bottom = 46;
const legendLine = 18;
const colours = ['#0072b2', '#d55e00', '#008a63', '#b34d8d', '#a97800', '#3a8fb7', '#7a7f87', '#7a2f2f'];
const style = `text{font:12px system-ui,sans-serif;fill:#3c434b}.title{font-weight:600;font-size:14px;fill:#1d2126}.grid{stroke:#d9dcda}.paper{fill:#fdfdfb}
@media (prefers-color-scheme:dark){text{fill:#a2abb5}.title{fill:#e8eaed}.grid{stroke:#2f363d}.paper{fill:#14171a}}`;

/** @typedef {{ name: string, points?: [number, number][], values?: (number | null)[] }} Series */
/** @typedef {{ kind: 'lines' | 'bars', title: string, x?: { label: string, scale: string }, y: { label: string, scale: string }, groups?: string[], series: Series[], marks?: { x: number, label: string }[] }} Chart */

/** @returns {string} the whole file */
export function chartToSvg(/** @type {Chart} */ chart) {
  const drawn = chart.kind === 'bars' ? bars(chart) : lines(chart);
  const legend = chart.series.map(({ name }, i) => {
    const y = height + 4 + i * legendLine;
    return `<rect x="${left}" y="${y}" width="12" height="12" fill="${colourOf(i)}"/><text x="${left + 18}" y="${y + 10}">${escaped(name)}</text>`;
  });
  const full = height + legend.length * legendLine + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${full}" role="img" aria-label="${escaped(chart.title)}">
<style>${style}</style>
<rect class="paper" width="${width}" height="${full}"/>
<text class="title" x="${left}" y="20">${escaped(chart.title)}</text>
${[...drawn, ...legend].join('\n')}
</svg>
`;
}

function colourOf(/** @type {number} */ i) {
  return colours[i % colours.length];
}

function escaped(/** @type {string} */ text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

/** @returns {{ at(value: number): number, parts: string[] }} where a value is, and the axis */
function yAxis(/** @type {Chart} */ { y }, /** @type {number[]} */ values) {
  const isLog = y.scale === 'log';
  const positive = values.filter((value) => value > 0);
  const most = Math.max(isLog ? 1e-9 : 0, ...positive) || 1;
  const low = isLog ? 10 ** Math.floor(Math.log10(Math.min(most, ...positive)) - 0.01) : 0;
  const high = isLog ? Math.max(most * 1.2, low * 10) : most * 1.08;
  const share = (/** @type {number} */ value) =>
    isLog ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : value / high;
  const at = (/** @type {number} */ value) => round(height - bottom - share(value) * (height - bottom - top));
  const ticks = isLog ? powers(low, high) : evenly(high);
  const parts = ticks.map(
    (tick) =>
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${at(tick)}" y2="${at(tick)}"/><text x="${left - 6}" y="${at(tick) + 4}" text-anchor="end">${short(tick)}</text>`,
  );
  parts.push(
    `<text x="14" y="${height / 2}" transform="rotate(-90 14 ${height / 2})" text-anchor="middle">${escaped(y.label)}</text>`,
  );
  return { at, parts };
}

function powers(/** @type {number} */ low, /** @type {number} */ high) {
  const ticks = [];
  for (let tick = low; tick <= high; tick *= 10) ticks.push(tick);
  return ticks;
}

function evenly(/** @type {number} */ high) {
  const rough = high / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((each) => each >= rough) ?? rough;
  const ticks = [];
  for (let i = 0; i * step <= high; i++) ticks.push(i * step);
  return ticks;
}

function bars(/** @type {Chart} */ chart) {
  const groups = chart.groups ?? [];
  const values = chart.series.flatMap((series) => (series.values ?? []).map((value) => value ?? 0));
  const { at, parts } = yAxis(chart, values);
  const groupWidth = (width - left - right) / Math.max(1, groups.length);
  const barWidth = (groupWidth * 0.82) / Math.max(1, chart.series.length);
  for (const [g, group] of groups.entries()) {
    const from = left + g * groupWidth;
    for (const [i, series] of chart.series.entries()) {
      const value = series.values?.[g];
      if (value === null || value === undefined) continue;
      const x = round(from + groupWidth * 0.09 + i * barWidth);
      parts.push(
        `<rect x="${x}" y="${at(value)}" width="${round(barWidth * 0.92)}" height="${round(Math.max(0.5, height - bottom - at(value)))}" fill="${colourOf(i)}"><title>${escaped(`${series.name}, ${group}: ${short(value)}`)}</title></rect>`,
      );
    }
    const label = wrapped(group, Math.max(8, Math.floor(groupWidth / 6.6)));
    for (const [n, text] of label.entries())
      parts.push(
        `<text x="${round(from + groupWidth / 2)}" y="${height - bottom + 16 + n * 13}" text-anchor="middle">${escaped(text)}</text>`,
      );
  }
  return parts;
}

/** @returns {string[]} at most three lines */
function wrapped(/** @type {string} */ text, /** @type {number} */ letters) {
  const made = [''];
  for (const word of text.split(' ')) {
    const now = /** @type {string} */ (made.at(-1));
    if (now !== '' && now.length + 1 + word.length > letters && made.length < 3) made.push(word);
    else made[made.length - 1] = now === '' ? word : `${now} ${word}`;
  }
  return made;
}

function lines(/** @type {Chart} */ chart) {
  const scale = chart.x?.scale ?? 'linear';
  const place = (/** @type {number} */ x) =>
    scale === 'percentile' ? -Math.log10(1 - x) : scale === 'log' ? Math.log10(Math.max(x, 1e-9)) : x;
  const all = chart.series.flatMap((series) => series.points ?? []);
  const { at, parts } = yAxis(
    chart,
    all.map(([, y]) => y),
  );
  const places = all.map(([x]) => place(x));
  const [low, high] = [Math.min(...places), Math.max(...places)];
  const xAt = (/** @type {number} */ x) =>
    round(left + ((place(x) - low) / (high - low || 1)) * (width - left - right));
  const ticks =
    scale === 'percentile' ? [0.5, 0.9, 0.99, 0.999] : [0, 1, 2, 3, 4].map((i) => low + ((high - low) * i) / 4);
  for (const tick of ticks) {
    const value = scale === 'log' ? 10 ** tick : tick;
    const label = scale === 'percentile' ? `${Number((100 * value).toFixed(1))} %` : short(value);
    parts.push(`<text x="${xAt(value)}" y="${height - bottom + 16}" text-anchor="middle">${label}</text>`);
  }
  parts.push(
    `<text x="${(left + width - right) / 2}" y="${height - bottom + 34}" text-anchor="middle">${escaped(chart.x?.label ?? '')}</text>`,
  );
  for (const { x } of chart.marks ?? [])
    parts.push(
      `<line x1="${xAt(x)}" x2="${xAt(x)}" y1="${top}" y2="${height - bottom}" stroke="#b3261e" stroke-dasharray="4 3"/>`,
    );
  for (const [i, series] of chart.series.entries()) {
    const path = (series.points ?? []).map(([x, y]) => `${xAt(x)},${at(y)}`).join(' ');
    if (path !== '') parts.push(`<polyline points="${path}" fill="none" stroke="${colourOf(i)}" stroke-width="2"/>`);
  }
  return parts;
}

function round(/** @type {number} */ n) {
  return Math.round(n * 10) / 10;
}

function short(/** @type {number} */ n) {
  if (Math.abs(n) >= 10_000) return `${Number((n / 1000).toPrecision(3))} k`;
  return String(Number(n.toPrecision(3)));
}
