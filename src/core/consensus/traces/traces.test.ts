import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Raft } from '../raft/raft.ts';
import { Conversation } from '../testing/conversation.test-support.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith('.raft.txt'));

/** `CAIRN_WRITE_TRACES=1` writes what is said now; the diff is then to be read like code. */
const writes = process.env.CAIRN_WRITE_TRACES === '1';

describe('a golden conversation', () => {
  it.each(names)('%s is held again word for word', (name) => {
    const trace = readFileSync(folder + name, 'utf8');
    const held = Conversation.run(Raft, trace);
    if (writes) writeFileSync(folder + name, held);
    else expect(held).toBe(trace);
  });

  it('there are some', () => {
    expect(names.length).toBeGreaterThan(1);
  });
});
