/** docs/formats/paxos.md, held to what the code does. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { crc32 } from '../../base/crc32.ts';
import { makeEntry } from '../entry-format.ts';
import { decodeMessage, encodeMessage, type PaxosMessage } from './messages.ts';
import { ballot, index } from './one-node.test-support.ts';
import { decodeRecord, encodeRecord, type PaxosRecord } from './records.ts';

const page = readFileSync(new URL('../../../../docs/formats/paxos.md', import.meta.url), 'utf8');
const example = page.slice(page.indexOf('## Example')).split('```text\n')[1]!.split('```')[0]!;
/** A line that is not indented begins a structure. */
const structures = example
  .trimEnd()
  .split(/\n(?! )/)
  .map((text) => Uint8Array.from(text.replace(/\s/g, '').match(/../g)!, (byte) => Number.parseInt(byte, 16)));

it('the example in docs/formats/paxos.md is what the code writes and reads', () => {
  const data = new Uint8Array([0xaa, 0xbb]);
  const entry = makeEntry(crc32, 0x11223344, 3, index(8), { kind: 'proposal', session: 4, sequence: 5, data });
  const own = ballot(3, 2);
  const message: PaxosMessage = {
    kind: 'accept',
    ballot: own,
    chosenIndex: index(6),
    chosenChecksum: 0x55667788,
    round: 1,
    first: index(8),
    previous: 0x11223344,
    entries: [entry],
  };
  const record: PaxosRecord = { kind: 'accepted', ballot: own, entry };
  const chosen: PaxosRecord = { kind: 'chosen', index: index(6) };
  const at = { first: index(8), last: 8, match: index(8), lacks: 0, round: 1 };
  const answer: PaxosMessage = { kind: 'accepted', ballot: own, ...at };
  const written = [encodeMessage(message), encodeRecord(record), encodeRecord(chosen), encodeMessage(answer)];
  expect(written.map(hex)).toEqual(structures.map(hex));
  expect(decodeMessage(structures[0]!)).toEqual(message);
  expect([decodeRecord(structures[1]!), decodeRecord(structures[2]!)]).toEqual([record, chosen]);
  expect(decodeMessage(structures[3]!)).toEqual(answer);
});

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
