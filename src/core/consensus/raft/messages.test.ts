import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../base/crc32.ts';
import { CairnError } from '../../base/errors.ts';
import type { EntryPayload } from '../engine.ts';
import { makeEntry, noop } from '../entry-format.ts';
import { decodeMessage, encodeMessage, type RaftMessage } from './messages.ts';
import { index, node, term } from './one-node.test-support.ts';

const natural = fc.maxSafeNat();
const payload: fc.Arbitrary<EntryPayload> = fc.oneof(
  fc.constant(noop),
  fc.record({ kind: fc.constant('proposal' as const), session: natural, sequence: natural, data: fc.uint8Array() }),
  fc.constant<EntryPayload>({ kind: 'members', members: { voters: [node(1), node(65535)], nonVoters: [] } }),
  fc.constant<EntryPayload>({
    kind: 'members',
    members: { voters: [node(1)], votersNext: [node(2)], nonVoters: [node(3)] },
  }),
);

const appendEntries = fc.tuple(fc.nat(), fc.nat(), natural, natural, natural, fc.array(payload, { maxLength: 5 })).map(
  ([prev, prevTerm, ofTerm, leaderCommit, round, payloads]): RaftMessage => ({
    kind: 'appendEntries',
    term: term(ofTerm),
    prevLogIndex: index(prev),
    prevLogTerm: term(prevTerm),
    leaderCommit: index(leaderCommit),
    round,
    entries: payloads.map((p, i) => makeEntry(crc32, 5, ofTerm, index(prev + 1 + i), p)),
  }),
);

const small = fc
  .tuple(natural, natural, natural, natural, natural, fc.boolean())
  .chain(([a, b, c, d, e, voteGranted]) =>
    fc.constantFrom<RaftMessage>(
      { kind: 'elector', message: { kind: 'preVote', term: a, standingTerm: b, standingIndex: c } },
      { kind: 'requestVote', term: term(a), lastLogIndex: index(b), lastLogTerm: term(c), transfer: voteGranted },
      { kind: 'timeoutNow', term: term(a), leaseEnded: voteGranted },
      { kind: 'elector', message: { kind: 'preVoteResponse', term: a, granted: voteGranted } },
      { kind: 'elector', message: { kind: 'heartbeatRequest', round: a } },
      {
        kind: 'elector',
        message: {
          ...{ kind: 'heartbeatReply' as const, round: a, ballotRound: b, standingTerm: c, standingIndex: d },
          ...{ leading: voteGranted, quorumConnected: !voteGranted, contented: voteGranted },
        },
      },
      { kind: 'requestVoteResponse', term: term(a), voteGranted },
      { kind: 'appendEntriesAccepted', term: term(a), acceptedIndex: index(b), matchIndex: index(c), round: d },
      {
        kind: 'appendEntriesRejected',
        term: term(a),
        prevLogIndex: index(b),
        hintIndex: index(c),
        hintTerm: term(d),
        round: e,
      },
    ),
  );

describe('messages', () => {
  it('read back as they were written, over the whole range of their numbers', () => {
    fc.assert(
      fc.property(fc.oneof(appendEntries, small), (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message);
      }),
    );
  });

  it('carry data as views of what was received, not as copies', () => {
    const data = new Uint8Array([1, 2, 3]);
    const entry = makeEntry(crc32, 0, 1, index(1), { kind: 'proposal', session: 1, sequence: 1, data });
    const bytes = encodeMessage({
      kind: 'appendEntries',
      term: term(1),
      prevLogIndex: index(0),
      prevLogTerm: term(0),
      leaderCommit: index(0),
      round: 0,
      entries: [entry],
    });
    const read = decodeMessage(bytes);
    if (read.kind !== 'appendEntries' || read.entries[0]?.payload.kind !== 'proposal') throw new Error('not read back');
    expect(read.entries[0].payload.data.buffer).toBe(bytes.buffer);
  });

  it('that are cut, extended or made up are refused with PROTOCOL, and nothing else happens', () => {
    const attempt = (bytes: Uint8Array) => {
      try {
        decodeMessage(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(CairnError);
        expect((error as CairnError).code).toBe('PROTOCOL');
        return 'refused';
      }
      return 'read';
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void attempt(bytes)));
    fc.assert(
      fc.property(fc.oneof(appendEntries, small), fc.nat(), (message, at) => {
        const bytes = encodeMessage(message);
        expect(attempt(bytes.subarray(0, at % bytes.length))).toBe('refused');
        expect(attempt(new Uint8Array([...bytes, 0]))).toBe('refused');
      }),
    );
  });

  it('lay AppendEntries out as the format says', () => {
    const data = new Uint8Array([0xaa, 0xbb]);
    const entry = { ...makeEntry(crc32, 0, 3, index(8), { kind: 'proposal', session: 4, sequence: 5, data }) };
    const bytes = encodeMessage({
      kind: 'appendEntries',
      term: term(3),
      prevLogIndex: index(7),
      prevLogTerm: term(2),
      leaderCommit: index(6),
      round: 1,
      entries: [{ ...entry, checksum: 0x01020304 }],
    });
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const u53 = (n: number) => `${n.toString(16).padStart(2, '0')}00000000000000`;
    expect(hex).toBe(
      `05${u53(3)}${u53(7)}${u53(2)}${u53(6)}${u53(1)}01000000` + `04030201${u53(3)}01${u53(4)}${u53(5)}02000000aabb`,
    );
  });
});
