import { describe, expect, it } from 'vitest';
import { toAddress } from '../../../core/base/brand.ts';
import { nodeIdOf } from '../../../core/base/node-id.ts';
import { codeOf, must, TestMachine } from './machine.test-support.ts';
import { mastersMax, Roster } from './roster.ts';

function founded(...ids: number[]): TestMachine {
  const m = new TestMachine();
  const masters = ids.map((id) => ({ id, address: toAddress(`m${id}:1`), directory: 100 + id }));
  expect(m.done({ kind: 'foundMasters', masters }).ok).toBe(true);
  return m;
}

const nodes = (m: TestMachine) => m.tables.roster.members.map(({ node }) => node);

describe('the roster of masters', () => {
  it('begins with the founders, and a later leader that books them again changes nothing', () => {
    const m = founded(1, 2, 3);
    m.book(2, 777);
    founded(1, 2, 3);
    const masters = [{ id: 2, address: toAddress('elsewhere:1'), directory: 5 }];
    m.done({ kind: 'foundMasters', masters });
    expect(m.tables.roster.member(2)).toMatchObject({ node: nodeIdOf(2, 1), address: 'm2:1', directory: 777 });
  });

  it('gives a directory the same name however often it asks, and another directory the next incarnation', () => {
    const m = founded(1, 2, 3);
    expect(must(m.book(2, 102)).node).toBe(2);
    expect(must(m.book(2, 500)).node).toBe(nodeIdOf(2, 1));
    expect(must(m.book(2, 500)).node).toBe(nodeIdOf(2, 1));
    expect(nodes(m)).toEqual([1, nodeIdOf(2, 1), 3]);
    expect([m.tables.roster.isGone(nodeIdOf(2, 0)), m.tables.roster.isGone(nodeIdOf(2, 1))]).toEqual([true, false]);
  });

  it('takes a new address from the same directory, and from the member itself', () => {
    const m = founded(1, 2, 3);
    m.book(2, 102, { address: 'moved:1' });
    expect(m.tables.roster.member(2)?.address).toBe('moved:1');
    m.done({ kind: 'moveMaster', node: nodeIdOf(3, 0), address: toAddress('moved:3') });
    expect(m.tables.roster.member(3)?.address).toBe('moved:3');
    const stranger = m.done({ kind: 'moveMaster', node: nodeIdOf(3, 1), address: toAddress('moved:4') });
    expect(codeOf(stranger)).toBe('NOT_A_MEMBER');
  });

  it('keeps who was removed out until it is added again, under another incarnation', () => {
    const m = founded(1, 2, 3);
    expect(codeOf(m.done({ kind: 'dropMaster', id: 2 }))).toBe('ok');
    expect(codeOf(m.done({ kind: 'dropMaster', id: 2 }))).toBe('ok');
    expect(nodes(m)).toEqual([1, 3]);
    expect(m.tables.roster.isGone(nodeIdOf(2, 0))).toBe(true);
    expect(codeOf(m.book(2, 102, { onlyIfMember: true }))).toBe('NOT_A_MEMBER');
    expect(codeOf(m.book(4, 104, { onlyIfMember: true }))).toBe('NOT_A_MEMBER');
    expect(must(m.book(2, 102)).node).toBe(nodeIdOf(2, 1));
  });

  it('refuses to drop nobody, or the last, and to grow beyond its bound', () => {
    const m = founded(1);
    expect(codeOf(m.done({ kind: 'dropMaster', id: 9 }))).toBe('NOT_FOUND');
    expect(codeOf(m.done({ kind: 'dropMaster', id: 1 }))).toBe('WOULD_LOSE_QUORUM');
    for (let id = 2; id <= mastersMax; id++) must(m.book(id, 100 + id));
    expect(codeOf(m.book(50, 150))).toBe('INVALID_ARGUMENT');
    expect(codeOf(m.book(mastersMax, 1000))).toBe('ok');
  });

  it('has nobody of id 0, which names no member', () => {
    const m = founded(1);
    expect(codeOf(m.book(0, 7))).toBe('INVALID_ARGUMENT');
    expect(nodes(m)).toEqual([1]);
  });

  it('is the same when it is read from the store again', () => {
    const m = founded(1, 2, 3);
    m.book(2, 500, { address: 'moved:1' });
    m.done({ kind: 'dropMaster', id: 3 });
    const again = new Roster(m.store);
    expect(again.members).toEqual(m.tables.roster.members);
    expect(again.isGone(nodeIdOf(3, 0))).toBe(true);
  });
});
