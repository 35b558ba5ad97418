/** Runs in the page of a report: draws its charts with uPlot, in the colours of the page, and again when those change. */
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { BarChart, Chart, LineChart } from '../report.ts';

/** Below the width of a figure, so that it fits on a phone. */
const chartHeightPx = 300;
/** Distinct in both schemes, also for those who do not tell red from green (after Okabe and Ito). */
const seriesColours = [
  '--series-1',
  '--series-2',
  '--series-3',
  '--series-4',
  '--series-5',
  '--series-6',
  '--series-7',
  '--series-8',
];
const percentileTicks = [0, 1, 2, 3, 4];

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seriesColour(i: number): string {
  return colour(seriesColours[i % seriesColours.length]!);
}

function axisStyle(): Pick<UPlot.Axis, 'stroke' | 'grid' | 'ticks' | 'font' | 'labelFont'> {
  const line = { stroke: colour('--grid'), width: 1 };
  return { stroke: colour('--muted'), grid: line, ticks: line, font: '12px system-ui', labelFont: '12px system-ui' };
}

function shortNumber(n: number): string {
  if (n === 0) return '0';
  if (Math.abs(n) >= 1e6) return `${Number((n / 1e6).toPrecision(3))} M`;
  if (Math.abs(n) >= 1e4) return `${Number((n / 1e3).toPrecision(3))} k`;
  return String(Number(n.toPrecision(4)));
}

function yParts({ y }: Chart): { scale: UPlot.Scale; axis: UPlot.Axis } {
  const isLog = y.scale === 'log';
  return {
    scale: isLog
      ? { distr: 3, range: (_, min, max) => logRange(min, max) }
      : { range: (_, __, max) => [0, max * 1.1 || 1] },
    axis: {
      ...axisStyle(),
      label: y.label,
      size: 64,
      values: (_, ticks) =>
        ticks.map((tick) => (tick === null ? '' : isLog && !isRound(tick) ? '' : shortNumber(tick))),
    },
  };
}

/** From a power of ten below the least to above the largest. */
function logRange(min: number, max: number): [number, number] {
  const low = 10 ** Math.floor(Math.log10(min) - 0.01);
  return [low, Math.max(low * 10, max * 1.3)];
}

/** 1, 2 and 5 times a power of ten are written out. */
function isRound(n: number): boolean {
  const leading = n / 10 ** Math.floor(Math.log10(n) + 1e-9);
  return [1, 2, 5].some((digit) => Math.abs(leading - digit) < 0.01);
}

// ---------------------------------------------------------------- lines

/** Percentiles are drawn by their nines: 0.9 at 1, 0.99 at 2. */
function place(x: number, scale: LineChart['x']['scale']): number {
  return scale === 'percentile' ? -Math.log10(1 - x) : x;
}

function percentileOf(nines: number): string {
  return `${Number((100 * (1 - 10 ** -nines)).toFixed(2))} %`;
}

function linesOptions(chart: LineChart, width: number): { options: UPlot.Options; data: UPlot.AlignedData } {
  const tables = chart.series.map(
    ({ points }): UPlot.AlignedData => [points.map(([x]) => place(x, chart.x.scale)), points.map(([, y]) => y)],
  );
  const y = yParts(chart);
  const isPercentile = chart.x.scale === 'percentile';
  const format = (x: number) => (isPercentile ? percentileOf(x) : shortNumber(x));
  const points = Math.max(0, ...chart.series.map((series) => series.points.length));
  const options: UPlot.Options = {
    width,
    height: chartHeightPx,
    scales: { x: { time: false, distr: chart.x.scale === 'log' ? 3 : 1 }, y: y.scale },
    axes: [
      {
        ...axisStyle(),
        label: chart.x.label,
        ...(isPercentile ? { splits: () => percentileTicks } : {}),
        values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : format(tick))),
      },
      y.axis,
    ],
    series: [
      { label: chart.x.label, value: (_, x) => (x === null ? '–' : format(x)) },
      ...chart.series.map(
        ({ name }, i): UPlot.Series => ({
          label: name,
          stroke: seriesColour(i),
          width: 2,
          spanGaps: true,
          points: { show: points <= 40, size: 6 },
          value: (_, value) => (value === null ? '–' : shortNumber(value)),
        }),
      ),
    ],
    hooks: { draw: [(plot) => drawMarks(plot, chart)] },
  };
  return { options, data: UPlot.join(tables) };
}

function drawMarks(plot: UPlot, { marks = [], x: { scale } }: LineChart): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour('--mark');
  ctx.fillStyle = colour('--mark');
  ctx.font = `${12 * devicePixelRatio}px system-ui`;
  ctx.textAlign = 'left';
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  for (const { x, label } of marks) {
    const at = plot.valToPos(place(x, scale), 'x', true);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(label, at + 4 * devicePixelRatio, bbox.top + 14 * devicePixelRatio);
  }
  ctx.restore();
}

// ---------------------------------------------------------------- bars

/** Bars of a group stand side by side around its place, 0, 1, 2 … */
function barsOptions(chart: BarChart, width: number): { options: UPlot.Options; data: UPlot.AlignedData } {
  const count = chart.series.length;
  const share = Math.min(0.5, 0.8 / count);
  const tables = chart.series.map(
    ({ values }, i): UPlot.AlignedData => [
      values.map((_, group) => group + (i - (count - 1) / 2) * share),
      values.map((value) => value),
    ],
  );
  const bars = UPlot.paths.bars!({ size: [share * 0.92, 120] });
  const y = yParts(chart);
  const names = slant(chart.groups, width);
  const options: UPlot.Options = {
    width,
    height: heightOf(names.size),
    scales: { x: { time: false, range: () => [-0.5, chart.groups.length - 0.5] }, y: y.scale },
    axes: [
      {
        ...axisStyle(),
        ...names,
        grid: { show: false },
        splits: () => chart.groups.map((_, i) => i),
        values: (_, ticks) => ticks.map((tick) => chart.groups[tick] ?? ''),
      },
      y.axis,
    ],
    padding: [null, 48, null, null], // room for the end of the last name
    legend: { live: false },
    cursor: { show: false },
    series: [
      {},
      ...chart.series.map(
        ({ name }, i): UPlot.Series => ({
          label: name,
          stroke: seriesColour(i),
          fill: seriesColour(i),
          paths: bars,
          points: { show: false },
        }),
      ),
    ],
    hooks: { draw: [(plot) => writeValues(plot, chart, share)] },
  };
  return { options, data: UPlot.join(tables) };
}

/** What names take that are written aslant, the bars do not lose. */
function heightOf(namesPx: number | undefined): number {
  return chartHeightPx + Math.max(0, (namesPx ?? 0) - 50);
}

/** Names that would run into each other are written aslant. */
function slant(groups: readonly string[], width: number): { readonly rotate?: number; readonly size?: number } {
  const longest = Math.max(...groups.map((group) => group.length));
  if (longest * 7 < width / groups.length) return {};
  return { rotate: -30, size: 20 + longest * 4 };
}

function writeValues(plot: UPlot, chart: BarChart, share: number): void {
  const { ctx, bbox } = plot;
  const roomPx = (bbox.width / chart.groups.length) * share;
  ctx.save();
  ctx.fillStyle = colour('--ink');
  ctx.font = `${11 * devicePixelRatio}px system-ui`;
  ctx.textAlign = 'center';
  for (const [i, { values }] of chart.series.entries()) {
    for (const [group, value] of values.entries()) {
      if (value === null) continue;
      const text = shortNumber(value);
      if (ctx.measureText(text).width > roomPx * 1.1) continue;
      const x = plot.valToPos(group + (i - (chart.series.length - 1) / 2) * share, 'x', true);
      ctx.fillText(text, x, plot.valToPos(value, 'y', true) - 4 * devicePixelRatio);
    }
  }
  ctx.restore();
}

// ---------------------------------------------------------------- the page

interface Drawn {
  readonly chart: Chart;
  readonly into: HTMLElement;
  plot: UPlot | undefined;
}

function draw(drawn: Drawn): void {
  drawn.plot?.destroy();
  const width = drawn.into.clientWidth;
  const made = drawn.chart.kind === 'lines' ? linesOptions(drawn.chart, width) : barsOptions(drawn.chart, width);
  drawn.plot = new UPlot(made.options, made.data, drawn.into);
}

const charts = JSON.parse(document.getElementById('charts')!.textContent!) as readonly Chart[];
const all = charts.map((chart, i): Drawn => ({ chart, into: document.getElementById(`chart-${i}`)!, plot: undefined }));
for (const drawn of all) {
  draw(drawn);
  let width = drawn.into.clientWidth;
  new ResizeObserver(() => {
    if (drawn.into.clientWidth === width) return;
    width = drawn.into.clientWidth;
    drawn.plot?.setSize({ width, height: drawn.plot.height });
  }).observe(drawn.into);
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => all.forEach(draw));
