import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MultiPaxos } from '../paxos/multi-paxos.ts';
import { Raft } from '../raft/raft.ts';
import { Conversation } from '../testing/conversation.test-support.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
const titlesOf = (engine: string) =>
  names.flatMap((name) => (name.split(`.${engine}.txt`)[1] === '' ? [name.split('.')[0]!] : []));

/** `CAIRN_WRITE_TRACES=1` writes what is said now; the diff is then to be read like code. */
const writes = process.env.CAIRN_WRITE_TRACES === '1';

function hold(name: string, script: string): string {
  return name.endsWith('.raft.txt') ? Conversation.run(Raft, script) : Conversation.run(MultiPaxos, script);
}

const commandsOf = (trace: string) => trace.split('\n').filter((line) => line.startsWith('> '));

describe('a golden conversation', () => {
  it.each(names)('%s is held again word for word', (name) => {
    const trace = readFileSync(folder + name, 'utf8');
    const held = hold(name, trace);
    if (writes) writeFileSync(folder + name, held);
    else expect(held).toBe(trace);
  });

  it.each(titlesOf('paxos'))('%s is held by both engines, with the same commands', (title) => {
    const [raft, paxos] = ['raft', 'paxos'].map((engine) => readFileSync(`${folder}${title}.${engine}.txt`, 'utf8'));
    expect(commandsOf(paxos!)).toEqual(commandsOf(raft!));
  });

  it('there are some', () => {
    expect(titlesOf('raft').length).toBeGreaterThan(1);
    expect(titlesOf('paxos').length).toBeGreaterThan(1);
  });
});
