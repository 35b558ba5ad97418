import { describe, expect, it } from 'vitest';
import { crc32 } from '../../base/crc32.ts';
import type { Members } from '../engine.ts';
import { entryBytes, makeEntry } from '../entry-format.ts';
import { RaftLog } from './log.ts';
import { index, logOf, node } from './one-node.test-support.ts';

const members: Members = { voters: [node(1)], nonVoters: [] };
const start = { index: index(0), term: 0, checksum: 0, members };

function logWith(...terms: number[]): RaftLog {
  const log = new RaftLog(start);
  for (const entry of logOf(...terms)) log.append(entry);
  return log;
}

describe('the log', () => {
  it('knows the terms of what it holds and of its compaction point, and of nothing else (etcd raft #31)', () => {
    const log = logWith(1, 1, 2, 3);
    expect([0, 1, 2, 3, 4, 5].map((at) => log.termAt(at))).toEqual([0, 1, 1, 2, 3, undefined]);
    log.compactTo(index(2));
    expect([0, 1, 2, 3, 4, 5].map((at) => log.termAt(at))).toEqual([undefined, undefined, 1, 2, 3, undefined]);
    expect(log.matches(1, 0)).toBe(false);
  });

  it('finds where it can at best agree with another', () => {
    const log = logWith(1, 1, 4, 4, 5, 5, 6);
    expect(log.lastWithTermAtMost(7, 6)).toBe(7);
    expect(log.lastWithTermAtMost(7, 5)).toBe(6);
    expect(log.lastWithTermAtMost(7, 3)).toBe(2);
    expect(log.lastWithTermAtMost(4, 9)).toBe(4);
    expect(log.lastWithTermAtMost(7, 0)).toBe(0);
    log.compactTo(index(3));
    expect(log.lastWithTermAtMost(7, 4)).toBe(4);
    expect(log.lastWithTermAtMost(7, 3)).toBe(2);
  });

  it('measures what fits into a message, one entry at least', () => {
    const log = logWith(1, 1, 1, 1);
    const bytes = entryBytes(log.at(1)!);
    expect(log.lastWithin(1, bytes * 3)).toBe(3);
    expect(log.lastWithin(2, bytes * 9)).toBe(4);
    expect(log.lastWithin(3, 1)).toBe(3);
  });

  it('keeps its indexes through truncation, compaction and growth', () => {
    const log = logWith(...Array.from({ length: 5000 }, () => 1));
    for (let at = 100; at <= 4900; at += 100) {
      log.compactTo(index(at));
      log.invariants(crc32);
      expect(log.at(at)).toBeUndefined();
      expect(log.at(at + 1)?.index).toBe(at + 1);
    }
    log.truncateFrom(4990);
    expect(log.lastIndex).toBe(4989);
    log.append(makeEntry(crc32, log.lastChecksum, 2, index(4990), { kind: 'noop' }));
    log.invariants(crc32);
    expect(log.slice(4989, 4990).map((entry) => entry.term)).toEqual([1, 2]);
  });

  it('checks by its invariants what has changed since the last time, or everything', () => {
    const log = logWith(1, 1, 1);
    log.invariants(crc32);
    const broken = { ...makeEntry(crc32, log.lastChecksum, 1, index(4), { kind: 'noop' }), checksum: 1 };
    log.append(broken);
    expect(() => log.invariants(crc32)).toThrow('each checksum continues the one before');
    log.truncateFrom(3);
    log.append(makeEntry(crc32, log.lastChecksum, 2, index(3), { kind: 'noop' }));
    log.invariants(crc32);
    Object.assign(log.at(2)!, { checksum: 1 });
    log.invariants(crc32);
    expect(() => log.invariants(crc32, true)).toThrow('each checksum continues the one before');
  });

  it('has the configuration in force that was appended last, and the one before when that is truncated', () => {
    const log = logWith(1, 1);
    const next: Members = { voters: [node(1), node(2)], nonVoters: [node(3)] };
    log.append(makeEntry(crc32, log.lastChecksum, 1, index(3), { kind: 'members', members: next }));
    expect(log.members).toEqual(next);
    expect(log.pointAt(index(2)).members).toEqual(members);
    const copy = log.clone();
    log.truncateFrom(3);
    expect(log.members).toEqual(members);
    expect(copy.members).toEqual(next);
    copy.compactTo(index(3));
    expect(copy.base.members).toEqual(next);
    expect(copy.members).toEqual(next);
  });

  it('refuses what does not continue it, and to cut what is compacted', () => {
    const log = logWith(1, 1, 1);
    expect(() => log.append(logOf(1)[0]!)).toThrow('an entry continues the log');
    log.compactTo(index(2));
    expect(() => log.truncateFrom(2)).toThrow('never truncated');
  });
});
