import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import type { CairnError } from '../../base/errors.ts';
import { appendEntriesOf, index, logOf, node, OneNode, pointOf, recordsOf, term } from './one-node.test-support.ts';
import { Raft } from './raft.ts';
import type { RaftRecord } from './records.ts';

const log = logOf(1, 1, 2, 2, 3);
const entryRecord = (entry: (typeof log)[number]): RaftRecord => ({ kind: 'entry', entry });
const pointRecord = (at: number, of = log): RaftRecord => ({ kind: 'snapshotPoint', point: pointOf(of, at) });

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as CairnError).code;
  }
  return 'none';
}

describe('a node that starts again', () => {
  it('is a follower with its term, vote and log, and has committed what its state holds', () => {
    const one = new OneNode({ records: recordsOf(3, log, 2), applied: pointOf(log, 4) });
    expect(one.status).toMatchObject({
      role: 'follower',
      term: 3,
      lastIndex: 5,
      firstIndex: 1,
      commitIndex: 4,
      appliedIndex: 4,
    });
    expect(one.engine.baseline()[0]).toEqual({ kind: 'hardState', currentTerm: 3, votedFor: 2 });
  });

  it('takes an entry at an index that was taken for the end of what stood there', () => {
    const other = logOf(1, 4);
    const one = new OneNode({ records: [...recordsOf(4, log), entryRecord(other[1]!)] });
    expect(one.status.lastIndex).toBe(2);
  });

  it('does not go back behind the term of a baseline that was written ahead of older records', () => {
    const one = new OneNode({ records: [...recordsOf(4, [], 2), ...recordsOf(3, []), ...recordsOf(4, [])] });
    expect(one.engine.baseline()[0]).toEqual({ kind: 'hardState', currentTerm: 4, votedFor: 2 });
  });

  it('needs no entries that lie before its compaction point, wherever the point stands among the records', () => {
    const kept = log.slice(3).map(entryRecord);
    for (const records of [
      [pointRecord(3), ...kept],
      [...kept, pointRecord(3)],
      [pointRecord(1), ...kept, pointRecord(3)],
      [...log.map(entryRecord), pointRecord(3)],
    ]) {
      const one = new OneNode({ records: [...recordsOf(3, []), ...records], applied: pointOf(log, 4) });
      expect(one.status).toMatchObject({ firstIndex: 4, lastIndex: 5, commitIndex: 4 });
    }
  });

  it('drops entries that do not continue a snapshot that took the place of the log', () => {
    const stale = logOf(1, 1, 1, 1, 1, 1);
    for (const records of [
      [...stale.map(entryRecord), pointRecord(4)],
      [pointRecord(4), ...stale.slice(4).map(entryRecord), pointRecord(4)],
      [...stale.slice(4).map(entryRecord), pointRecord(4)],
    ]) {
      const one = new OneNode({ records: [...recordsOf(3, []), ...records], applied: pointOf(log, 4) });
      expect(one.status).toMatchObject({ firstIndex: 5, lastIndex: 4 });
    }
  });

  it('whose state is ahead of its log goes on from the state, and writes that down with its next record', () => {
    const one = new OneNode({ records: recordsOf(2, log.slice(0, 2)), applied: pointOf(log, 5) });
    expect(one.status).toMatchObject({ firstIndex: 6, lastIndex: 5, commitIndex: 5, term: 3 });
    const effects = one.receive(2, appendEntriesOf(3, logOf(1, 1, 2, 2, 3, 3), 5));
    expect(effects.persist?.records).toMatchObject([
      { kind: 'snapshotPoint', point: { index: 5 } },
      { kind: 'entry', entry: { index: 6 } },
    ]);
    const again = new OneNode({ records: one.written, applied: pointOf(log, 5) });
    expect(again.status).toMatchObject({ firstIndex: 6, lastIndex: 6 });
  });

  it('whose log differs from its state at the last entry applied begins anew after the state', () => {
    const one = new OneNode({ records: recordsOf(1, logOf(1, 1, 1, 1, 1, 1)), applied: pointOf(log, 4) });
    expect(one.status).toMatchObject({ firstIndex: 5, lastIndex: 4 });
  });

  it('keeps entries behind its state, for peers that lag', () => {
    const one = new OneNode({ records: recordsOf(3, log), applied: pointOf(log, 5) });
    expect(one.status.firstIndex).toBe(1);
  });

  it('refuses a log with a gap, a broken chain, or a state that lies before its beginning', () => {
    const gap = [...recordsOf(3, log.slice(0, 2)), entryRecord(log[4]!)];
    const broken = [...recordsOf(3, log.slice(0, 2)), entryRecord({ ...log[2]!, checksum: 7 })];
    const behind = [...recordsOf(3, []), pointRecord(4), entryRecord(log[4]!)];
    expect(codeOf(() => new OneNode({ records: gap }))).toBe('LOG_CORRUPT');
    expect(codeOf(() => new OneNode({ records: broken }))).toBe('LOG_CORRUPT');
    expect(codeOf(() => new OneNode({ records: behind, applied: pointOf(log, 2) }))).toBe('LOG_CORRUPT');
  });

  it('takes its members from the log and the point rather than from what it was started with', () => {
    const members = { voters: [node(1), node(2), node(7)], nonVoters: [] };
    const records: RaftRecord[] = [{ kind: 'snapshotPoint', point: { ...pointOf(log, 3), members } }];
    const one = new OneNode({ records: [...recordsOf(3, []), ...records], applied: { ...pointOf(log, 3), members } });
    expect(one.status.members).toEqual(members);
  });

  it('does not take part in elections as if it had heard of a leader', () => {
    const one = new OneNode({ records: recordsOf(3, log, 2) });
    expect(one.status.leader).toBeUndefined();
    expect(one.engine.nextTickAt).toBeGreaterThan(one.now);
  });
});

describe('a baseline', () => {
  it('and the entries still held say all that there is to say', () => {
    const one = new OneNode({ records: recordsOf(3, log, 2), applied: pointOf(log, 4) });
    one.input({ kind: 'compact', index: index(3) });
    const records = [...one.engine.baseline(), ...log.slice(3).map(entryRecord)];
    const copy = new OneNode({ records, applied: pointOf(log, 4) });
    expect(copy.engine.baseline()).toEqual(one.engine.baseline());
    expect({ ...copy.status }).toEqual({ ...one.status });
  });
});

describe('a clone', () => {
  it('goes its own way: nothing done to it shows in the original', () => {
    const leader = new OneNode({ limits: { windowMaxMessages: 2 } });
    leader.lead();
    leader.propose(3);
    leader.read();
    const picture = JSON.stringify([{ ...leader.status }, [...leader.status.lagPerPeer], leader.engine.baseline()]);
    const copy = leader.engine.clone();
    const now = toMillis(leader.now + 1);
    const entry = { session: 1, sequence: 1, data: new Uint8Array(3) };
    copy.step({ kind: 'propose', proposals: [entry, entry], now });
    copy.step({ kind: 'message', from: node(2), message: leader.accepted(4, 1), now });
    copy.step({ kind: 'message', from: node(3), message: { ...leader.rejected(4, 0, 0), term: term(9) }, now });
    copy.step({ kind: 'tick', now: toMillis(leader.now + 5000) });
    copy.invariants();
    expect(copy.status.term).toBe(9);
    expect(JSON.stringify([{ ...leader.status }, [...leader.status.lagPerPeer], leader.engine.baseline()])).toBe(
      picture,
    );
    leader.engine.invariants();
    expect(leader.ack(2, 4, 1).reads).toHaveLength(1);
  });

  it('does what the original does with the same inputs, timeouts included', () => {
    const one = new OneNode();
    const copy = one.engine.clone();
    for (let i = 0; i < 5; i++) {
      const now = one.engine.nextTickAt;
      expect(copy.nextTickAt).toBe(now);
      expect(copy.step({ kind: 'tick', now })).toEqual(one.engine.step({ kind: 'tick', now }));
    }
  });
});

describe('records', () => {
  it('read back as they were written', () => {
    const records: RaftRecord[] = [
      ...recordsOf(3, log, 2),
      { kind: 'hardState', currentTerm: term(9), votedFor: undefined },
      pointRecord(4),
      {
        kind: 'snapshotPoint',
        point: {
          ...pointOf(log, 2),
          members: { voters: [node(1)], votersNext: [node(1), node(2)], nonVoters: [node(9)] },
        },
      },
    ];
    for (const record of records) expect(Raft.decodeRecord(Raft.encodeRecord(record))).toEqual(record);
    expect(records.map((record) => Raft.indexOfRecord(record))).toEqual([
      undefined,
      1,
      2,
      3,
      4,
      5,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('that are damaged are refused as such', () => {
    const bytes = Raft.encodeRecord(entryRecord(log[0]!));
    expect(codeOf(() => Raft.decodeRecord(bytes.subarray(0, bytes.length - 1)))).toBe('LOG_CORRUPT');
    expect(codeOf(() => Raft.decodeRecord(new Uint8Array([77, 1])))).toBe('LOG_CORRUPT');
    expect(codeOf(() => Raft.decodeRecord(new Uint8Array()))).toBe('LOG_CORRUPT');
  });
});
