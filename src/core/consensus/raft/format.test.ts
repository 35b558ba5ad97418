/** docs/formats/raft.md, held to what the code does. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { crc32 } from '../../base/crc32.ts';
import { makeEntry } from '../entry-format.ts';
import { decodeMessage, encodeMessage, type RaftMessage } from './messages.ts';
import { index, term } from './one-node.test-support.ts';
import { decodeRecord, encodeRecord, type RaftRecord } from './records.ts';

const page = readFileSync(new URL('../../../../docs/formats/raft.md', import.meta.url), 'utf8');
const example = page.slice(page.indexOf('## Example')).split('```text\n')[1]!.split('```')[0]!;
/** A line that is not indented begins a structure. */
const structures = example
  .trimEnd()
  .split(/\n(?! )/)
  .map((text) => Uint8Array.from(text.replace(/\s/g, '').match(/../g)!, (byte) => Number.parseInt(byte, 16)));

it('the example in docs/formats/raft.md is what the code writes and reads', () => {
  const data = new Uint8Array([0xaa, 0xbb]);
  const entry = makeEntry(crc32, 0x11223344, 3, index(8), { kind: 'proposal', session: 4, sequence: 5, data });
  const message: RaftMessage = {
    kind: 'appendEntries',
    term: term(3),
    prevLogIndex: index(7),
    prevLogTerm: term(2),
    leaderCommit: index(6),
    round: 1,
    entries: [entry],
  };
  const record: RaftRecord = { kind: 'entry', entry };
  const answer: RaftMessage = {
    kind: 'appendEntriesAccepted',
    term: term(3),
    acceptedIndex: index(8),
    matchIndex: index(8),
    round: 1,
  };
  expect(structures).toEqual([encodeMessage(message), encodeRecord(record), encodeMessage(answer)]);
  expect(decodeMessage(structures[0]!)).toEqual(message);
  expect(decodeRecord(structures[1]!)).toEqual(record);
  expect(decodeMessage(structures[2]!)).toEqual(answer);
});
