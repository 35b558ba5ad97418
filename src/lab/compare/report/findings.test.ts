import { describe, expect, it } from 'vitest';
import { Findings } from './findings.ts';
import { percentile } from './statistics.ts';

function measured(ours: readonly number[], theirs: readonly number[]): Findings {
  const findings = new Findings();
  for (const value of ours) findings.add('raft', 'writes/s', '1/s', value);
  for (const value of theirs) findings.add('etcd', 'writes/s', '1/s', value);
  return findings;
}

describe('findings', () => {
  it('give the middle and the spread of the runs', () => {
    const { subjects } = measured([30, 10, 20], []).report('consensus', 'which?', {});
    const { metrics } = subjects.find(({ name }) => name === 'raft')!;
    expect(metrics['writes/s']).toEqual({ unit: '1/s', median: 20, min: 10, max: 30, runs: [30, 10, 20] });
  });

  it('compare round by round, so that a slow spell of the machine does not count', () => {
    const findings = measured([100, 50, 90], [50, 25, 30]);
    expect(findings.ratio('raft', 'etcd', 'writes/s')).toBe(2);
    expect(findings.report('consensus', '', {}).ratios).toEqual({ 'raft/etcd writes/s': 2 });
  });

  it('compare medians where the rounds differ, and nothing where one is missing', () => {
    expect(measured([100, 50, 90], [45]).ratio('raft', 'etcd', 'writes/s')).toBe(2);
    expect(measured([100], []).ratio('raft', 'etcd', 'writes/s')).toBeUndefined();
  });

  it('have a mean of several ratios, or none where one is missing', () => {
    const findings = measured([8], [2]);
    findings.add('raft', 'reads/s', '1/s', 1);
    expect(findings.meanRatio('raft', 'etcd', ['writes/s', 'reads/s'], 'all')).toBeUndefined();
    findings.add('etcd', 'reads/s', '1/s', 1);
    expect(findings.meanRatio('raft', 'etcd', ['writes/s', 'reads/s'], 'all')).toBeCloseTo(2);
    expect(findings.report('', '', {}).ratios).toMatchObject({ 'raft/etcd all': 2 });
  });

  it('say whether a goal is met, and nothing of one that was not measured', () => {
    const findings = new Findings();
    findings.goal('fast', 3, '≥', 3);
    findings.goal('faster', 3, '>', 3);
    findings.goal('short', 3, '≤', 2);
    findings.goal('unknown', undefined, '≤', 2);
    expect(findings.report('', '', {}).goals.map(({ name, met }) => [name, met])).toEqual([
      ['fast', true],
      ['faster', false],
      ['short', false],
    ]);
  });

  it('refuse what is no figure', () => {
    expect(() => new Findings().add('raft', 'writes/s', '1/s', Number.NaN)).toThrow('no figure');
  });
});

describe('a percentile', () => {
  it('lies between the two nearest runs', () => {
    expect(percentile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(percentile([1, 2, 3], 1)).toBe(3);
    expect(() => percentile([], 0.5)).toThrow();
  });
});
