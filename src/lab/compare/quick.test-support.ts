/** Runs an experiment as a user would, quickly, and checks what holds of every run: that it succeeds, and leaves nothing behind. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { run } from '../end-to-end/command-line.test-support.ts';
import type { Metric, Report } from './report/report.ts';

/** A few seconds on a free machine; tests share theirs. */
export const slow = { timeout: 120_000 };
export const isRoot = process.getuid?.() === 0;

export interface QuickRun {
  readonly report: Report;
  readonly page: string;
  /** What it said meanwhile. */
  readonly progress: string;
  metric(subject: string, name: string): Metric;
}

export async function quickly(experiment: string, ...args: readonly string[]): Promise<QuickRun> {
  const dir = mkdtempSync(join(tmpdir(), 'lab-test-'));
  const scratch = mkdtempSync(join(tmpdir(), 'lab-scratch-'));
  try {
    const ran = await run(['lab', experiment, '--quick', '--json', '--out', dir, '--scratch', scratch, ...args]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(readdirSync(scratch)).toEqual([]);
    const lab = /cairn-lab-\d+-/.exec(ran.stderr)?.[0];
    if (lab !== undefined) expect(namespaces().filter((name) => name.startsWith(lab))).toEqual([]);
    const report = JSON.parse(ran.stdout) as Report;
    expect(JSON.parse(readFileSync(join(dir, experiment, 'report.json'), 'utf8'))).toEqual(report);
    const page = readFileSync(join(dir, experiment, 'report.html'), 'utf8');
    return { report, page, progress: ran.stderr, metric: (subject, name) => metricOf(report, subject, name) };
  } finally {
    for (const path of [dir, scratch]) rmSync(path, { recursive: true, force: true });
  }
}

export function namespaces(): string[] {
  return existsSync('/run/netns') ? readdirSync('/run/netns') : [];
}

function metricOf({ subjects }: Report, subject: string, name: string): Metric {
  const found = subjects.find((each) => each.name === subject)?.metrics[name];
  expect(found, `${subject}: ${name}`).toBeDefined();
  return found!;
}
