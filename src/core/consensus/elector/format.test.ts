/** docs/formats/electors.md, held to what the code does. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { decode, encode } from '../../base/codec.ts';
import { type ElectorMessage, electorMessage } from './messages.ts';

const page = readFileSync(new URL('../../../../docs/formats/electors.md', import.meta.url), 'utf8');
const example = page.slice(page.indexOf('## Example')).split('```text\n')[1]!.split('```')[0]!;
const structures = example
  .trimEnd()
  .split('\n')
  .map((text) => Uint8Array.from(text.replace(/\s/g, '').match(/../g)!, (byte) => Number.parseInt(byte, 16)));

it('the example in docs/formats/electors.md is what the code writes and reads', () => {
  const standing = { standingTerm: 7, standingIndex: 300 };
  const messages: ElectorMessage[] = [
    { kind: 'preVote', term: 8, ...standing },
    { kind: 'preVoteResponse', term: 9, granted: false },
    { kind: 'heartbeatRequest', round: 5 },
    {
      kind: 'heartbeatReply',
      ...{ round: 5, ballotRound: 8, leading: false, quorumConnected: true, contented: true, ...standing },
    },
  ];
  expect(structures).toEqual(messages.map((message) => encode(electorMessage, message)));
  expect(structures.map((bytes) => decode(electorMessage, bytes))).toEqual(messages);
});
