import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorTable } from '../../core/base/errors.ts';
import { makeProgram } from './program.ts';

const reference = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
const local = ['up', 'master', 'chunkserver', 'sim', 'lab'];
const verbs = makeProgram().commands.map((command) => command.name());

function helpOf(verb: string): string {
  const command = makeProgram().commands.find((found) => found.name() === verb)!;
  let text = '';
  command.configureOutput({ writeOut: (piece) => (text += piece) });
  command.outputHelp();
  return text;
}

function sectionOf(verb: string): string {
  return reference.split(/^##+ /m).find((part) => part.split('\n', 1)[0]!.split(', ').includes(verb)) ?? '';
}

describe('each verb', () => {
  it.each(verbs)('%s has help with an example, --json, and a section in docs/cli.md that names its options', (verb) => {
    const help = helpOf(verb);
    expect(help).toMatch(new RegExp(`Example:\n  \\$ .*cairn ${verb}`));
    expect(help).toContain('--json');
    if (!local.includes(verb)) for (const option of ['--cluster', '--timeout']) expect(help).toContain(option);
    const section = sectionOf(verb);
    expect(section).toContain(`cairn ${verb}`);
    const command = makeProgram().commands.find((found) => found.name() === verb)!;
    const shared = ['--json', '--cluster', '--timeout', '--create'];
    for (const { short, long } of command.options.filter((option) => !shared.includes(option.long ?? '')))
      expect(section.includes(long!) || (short !== undefined && section.includes(short)), long).toBe(true);
  });

  it('has no fellow in docs/cli.md that the program lacks', () => {
    const named = [...reference.matchAll(/^### (.*)$/gm)].flatMap((match) => match[1]!.split(', '));
    expect(named.sort()).toEqual([...verbs].sort());
  });
});

describe('usage', () => {
  it.each([
    [['statsu'], "there is no verb 'statsu'; did you mean status?"],
    [['cat', '--length', '1e3', '/a'], 'whole number'],
    [['ls', '--timeout', 'soon'], 'give seconds'],
    [['ls', '--timeout', '-1'], 'give seconds'],
    [['up', '--masters', '3.5'], 'whole number'],
    [['put', '--durability', 'perhaps', 'a', '/a'], 'Allowed choices are memory, disk'],
    [['mv', '/a'], 'see `cairn mv --help`'],
    [['snapshot', '/a'], 'see `cairn snapshot --help`'],
  ])('%j is refused as USAGE, and says what is wrong', async (words, says) => {
    await expect(makeProgram().parseAsync(words, { from: 'user' })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(says),
    });
  });
});

describe('the exit codes', () => {
  it('of the error table stand in docs/cli.md, each with its code', () => {
    const rows = new Map(
      [...reference.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map((match) => [Number(match[1]), match[2]!]),
    );
    const passing = 7; // named there by examples only
    for (const [code, { exit }] of Object.entries(errorTable)) {
      expect(rows.has(exit), code).toBe(true);
      if (exit !== passing) expect(rows.get(exit), code).toContain(`\`${code}\``);
    }
  });
});
