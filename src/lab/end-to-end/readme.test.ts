/** What the README says to type is typed here, word for word, in a directory laid out like a clone. */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { program } from './command-line.test-support.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const mark = '@@ ';

/** The lines behind `$ ` of all fenced `console` blocks, without their remarks. */
function commandsOf(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/^```console\n(.*?)^```$/gms)].map((match) => match[1]!);
  const lines = blocks.join('').split('\n');
  return lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2).replace(/\s{2,}# .*$/, ''));
}

const commands = commandsOf(readFileSync(join(root, 'README.md'), 'utf8'));
const npmCommands = commands.filter((command) => /^npm /.test(command));
const typed = commands.filter((command) => !/^npm /.test(command));

let clone: string;
let cluster: LocalCluster;

beforeAll(async () => {
  clone = mkdtempSync(join(tmpdir(), 'cairn-readme-'));
  symlinkSync(join(root, 'bin'), join(clone, 'bin'));
  cpSync(join(root, 'docs'), join(clone, 'docs'), { recursive: true });
  cpSync(join(root, 'README.md'), join(clone, 'README.md'));
  cluster = await LocalCluster.start({ program });
}, 90_000);
afterAll(async () => {
  await cluster?.stop();
  rmSync(clone, { recursive: true, force: true });
}, 30_000);

/** One shell for all: jobs in the background are waited for by a later line. @returns what each command printed */
function typeIn(lines: readonly string[]): Promise<string[]> {
  const script = ['set -euo pipefail', ...lines.flatMap((line) => [`echo ${JSON.stringify(mark)}`, line])].join('\n');
  const env = { ...process.env, CAIRN_CLUSTER: cluster.url };
  return new Promise((resolve, reject) => {
    execFile('bash', ['-c', script], { cwd: clone, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const printed = stdout.split(`${mark}\n`).slice(1);
      if (error === null) resolve(printed);
      else reject(new Error(`the README's command failed: ${lines[printed.length - 1]}\n${stderr}`));
    });
  });
}

describe('the README', () => {
  it('names scripts that the package has', () => {
    expect(npmCommands).toContain('npm start');
    expect(npmCommands).toContain('npm test');
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    for (const command of npmCommands) expect(scripts).toHaveProperty(command.replace(/^npm (run )?/, ''));
  });

  it('shows commands that work as they stand', { timeout: 120_000 }, async () => {
    expect(typed.length).toBeGreaterThan(10);
    const printed = await typeIn(typed);
    const of = (command: string) => printed[typed.indexOf(command)];
    expect(of('./bin/cairn cat /docs/glossary.md')).toBe(readFileSync(join(root, 'docs/glossary.md'), 'utf8'));
    expect(of('./bin/cairn cat /logs/today | wc -l')?.trim()).toBe('2000');
    const same = await typeIn(['diff -r docs copy-of-docs && echo same']);
    expect(same).toEqual(['same\n']);
  });

  it('would fail here if one of them did', async () => {
    await expect(typeIn(['true', './bin/cairn cat /nothing-there', 'true'])).rejects.toThrow('cat /nothing-there');
  });
});
