import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../base/crc32.ts';
import { CairnError } from '../../base/errors.ts';
import type { EntryPayload } from '../engine.ts';
import { makeEntry, noop } from '../entry-format.ts';
import { decodeMessage, encodeMessage, type PaxosMessage } from './messages.ts';
import { ballot, index, members, node } from './one-node.test-support.ts';
import { decodeRecord, encodeRecord, indexOfRecord, type PaxosRecord } from './records.ts';

const natural = fc.maxSafeNat();
const nodeId = fc.integer({ min: 1, max: 0xffff_ffff });
const anyBallot = fc.tuple(natural, nodeId).map(([round, id]) => ballot(round, id));
const payload: fc.Arbitrary<EntryPayload> = fc.oneof(
  fc.constant(noop),
  fc.record({ kind: fc.constant('proposal' as const), session: natural, sequence: natural, data: fc.uint8Array() }),
  fc.constant<EntryPayload>({ kind: 'members', members: { ...members([1, 65_535], [3]), votersNext: [node(2)] } }),
);
const entries = fc
  .tuple(fc.nat(), natural, fc.array(payload, { maxLength: 5 }))
  .map(([first, round, payloads]) => payloads.map((p, i) => makeEntry(crc32, 5, round, index(first + i), p)));
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });

const large = fc
  .tuple(anyBallot, natural, u32, natural, u32, entries, anyBallot)
  .chain(([of, chosen, chosenChecksum, round, previous, list, other]) => {
    const first = index(list[0]?.index ?? 7);
    const chosenIndex = index(chosen);
    return fc.constantFrom<PaxosMessage>(
      { kind: 'accept', ballot: of, chosenIndex, chosenChecksum, round, first, previous, entries: list },
      {
        kind: 'promise',
        ...{ ballot: of, first, chosenIndex, firstRetained: index(round), next: round },
        votes: list.map((entry) => ({ ballot: other, entry })),
      },
      { kind: 'chosen', first, firstRetained: index(chosen), entries: list },
    );
  });

const small = fc
  .tuple(anyBallot, anyBallot, natural, natural, natural, fc.boolean())
  .chain(([of, promised, a, b, c, flag]) =>
    fc.constantFrom<PaxosMessage>(
      { kind: 'prepare', ballot: of, first: index(a), transfer: flag },
      { kind: 'accepted', ballot: of, first: index(a), last: b, match: index(c), lacks: a, round: b },
      { kind: 'rejected', ballot: of, promised },
      { kind: 'rejected', ballot: of, promised: { round: 0 as never, node: 0 as never } },
      { kind: 'missing', ballot: of, first: index(a), last: index(b) },
      { kind: 'learn', first: index(a), last: index(b) },
      { kind: 'takeOver', ballot: of, leasesEnded: flag },
      { kind: 'readQuery', token: a },
      { kind: 'readReply', token: a, lastIndex: index(b) },
      { kind: 'fill', slot: index(a) },
      { kind: 'fed', ballot: of },
      { kind: 'elector', message: { kind: 'preVoteResponse', term: a, granted: flag } },
    ),
  );

const records = fc
  .tuple(anyBallot, natural, u32, payload)
  .chain(([of, n, checksum, p]) =>
    fc.constantFrom<PaxosRecord>(
      { kind: 'promise', ballot: of },
      { kind: 'chosen', index: index(n) },
      { kind: 'snapshotPoint', point: { index: index(n), term: n, checksum, members: members([1, 2], [3]) } },
      { kind: 'accepted', ballot: of, entry: { index: index(n), term: n, payload: p, checksum } },
      { kind: 'learned', entry: { index: index(n), term: n, payload: p, checksum } },
    ),
  );

function attempt(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array, code: string): 'read' | 'refused' {
  try {
    read(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(CairnError);
    expect((error as CairnError).code).toBe(code);
    return 'refused';
  }
  return 'read';
}

describe('messages of Multi-Paxos', () => {
  it('read back as they were written, over the whole range of their numbers', () => {
    fc.assert(
      fc.property(fc.oneof(large, small), (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message);
      }),
    );
  });

  it('that are cut, extended or made up are refused with PROTOCOL, and nothing else happens', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void attempt(decodeMessage, bytes, 'PROTOCOL')));
    fc.assert(
      fc.property(fc.oneof(large, small), fc.nat(), (message, at) => {
        const bytes = encodeMessage(message);
        expect(attempt(decodeMessage, bytes.subarray(0, at % bytes.length), 'PROTOCOL')).toBe('refused');
        expect(attempt(decodeMessage, new Uint8Array([...bytes, 0]), 'PROTOCOL')).toBe('refused');
      }),
    );
  });

  it('to several peers are laid out once', () => {
    const message = {
      kind: 'accept',
      ballot: ballot(1, 1),
      chosenIndex: index(0),
      chosenChecksum: 0,
      round: 0,
    } as const;
    const same: PaxosMessage = { ...message, first: index(1), previous: 0, entries: [] };
    expect(encodeMessage(same)).toBe(encodeMessage(same));
  });
});

describe('records of Multi-Paxos', () => {
  it('read back as they were written, and know their slot', () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(decodeRecord(encodeRecord(record))).toEqual(record);
        expect(indexOfRecord(record)).toBe('entry' in record ? record.entry.index : undefined);
      }),
    );
  });

  it('that are cut or made up are refused with LOG_CORRUPT', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void attempt(decodeRecord, bytes, 'LOG_CORRUPT')),
    );
  });
});
