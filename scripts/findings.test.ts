import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { movedRatios } from './compare-reports.mjs';
import { root } from './files.mjs';
import { committedReports, render } from './findings.mjs';
import { chartToSvg } from './findings-svg.mjs';

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

const metric = { unit: 'ms', median: 1234.5, min: 1000, max: 2000, runs: [1000, 1234.5, 2000] };
const chart = {
  kind: 'bars' as const,
  title: 'Writes <1>',
  y: { label: '1/s', scale: 'log' },
  groups: ['one', 'two'],
  series: [{ name: 'raft', values: [10, null] }],
};
const report = {
  experiment: 'consensus',
  environment: { cores: 2, node: 'v20.1.0', processor: 'X', date: '2024-05-06T07:08:09Z', flushMs: 0.1 },
  settings: { rounds: 3, tookSeconds: 90, quick: false },
  subjects: [{ name: 'raft', metrics: { gap: metric } }],
  ratios: { 'raft/etcd gap': 0.25 },
  goals: [{ name: 'raft/etcd gap', want: '≤ 0.25', got: 0.25, met: true }],
  charts: [chart],
};
const reports = new Map([['consensus', report]]);

describe('the page of findings', () => {
  it('is what its template and the reports beside it give', () => {
    const { text, charts } = render(read('docs/findings.template.md'), committedReports());
    expect(text).toBe(read('docs/findings.md'));
    for (const [file, svg] of charts) expect(svg, file).toBe(read(`docs/findings/${file}`));
  });

  it('takes each figure from the report that it names', () => {
    const filled = (template: string) => render(template, reports).text;
    expect(filled('{{ratio consensus: raft/etcd gap}}')).toBe('0.25');
    expect(filled('{{median consensus: raft | gap}}')).toBe('1,235');
    expect(filled('{{table consensus: gap}}')).toContain('| gap, ms | 1,235 (1,000 … 2,000) |');
    expect(filled('{{goals consensus}}')).toContain('| raft/etcd gap | ≤ 0.25 | 0.25 | met |');
    expect(filled('{{made consensus}}')).toContain('3 rounds, 1.5 min, on 2024-05-06');
    expect(filled('{{chart consensus: Writes <1>}}')).toBe('![Writes <1>](findings/consensus-1.svg)');
  });

  it('says so where there is no figure, and refuses what it does not know', () => {
    expect(render('{{ratio failover: a/b c}}', reports).text).toBe('not measured yet');
    expect(render('{{made failover}}', reports).text).toBe('`failover`: not measured yet.');
    expect(() => render('{{figure consensus}}', reports)).toThrow('the template says figure');
  });
});

describe('a chart', () => {
  it('is drawn with a bar for each value that there is, and its words are escaped', () => {
    const svg = chartToSvg(chart);
    expect(svg.match(/<title>/g)).toHaveLength(1);
    expect(svg).toContain('Writes &lt;1>');
  });
});

describe('two runs of the lab', () => {
  it('are compared ratio by ratio, what moved most first; what has a goal is a headline', () => {
    const run = (ratios: Record<string, number>) => ({
      experiment: 'consensus',
      ratios,
      goals: [{ name: 'a/b writes' }],
    });
    const moved = movedRatios(
      run({ 'a/b writes': 2, 'a/b reads': 1, 'a/c': 1 }),
      run({ 'a/b writes': 2.2, 'a/b reads': 0.5 }),
    );
    expect(moved.map(({ name, isHeadline }) => [name, isHeadline])).toEqual([
      ['a/b reads', false],
      ['a/b writes', true],
    ]);
    expect(moved[1]!.moved).toBeCloseTo(0.1);
  });
});
