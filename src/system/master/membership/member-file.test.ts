/** docs/formats/member.md, held to what the code does; and the file on a disk. */
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { toNodeId } from '../../../core/base/brand.ts';
import { nodeIdOf } from '../../../core/base/node-id.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import {
  decodeMemberFile,
  encodeMemberFile,
  type MemberRecord,
  readMemberFile,
  writeMemberFile,
} from './member-file.ts';

const record: MemberRecord = {
  ...{ directory: 0x1234, node: nodeIdOf(2, 1), bootstrap: [1, 2, 3].map(toNodeId), founders: [] },
  ...{ opened: true, removed: false },
};

describe('the file that says whose log this is', () => {
  it('is laid out as docs/formats/member.md shows', () => {
    const text = readFileSync(new URL('../../../../docs/formats/member.md', import.meta.url), 'utf8');
    const hex = /## Example[\s\S]*?```text\n([\s\S]*?)```/.exec(text)![1]!.replace(/\s/g, '');
    expect(Buffer.from(encodeMemberFile(record, { crc32 })).toString('hex')).toBe(hex);
    expect(decodeMemberFile(Buffer.from(hex, 'hex'), { crc32 })).toEqual(record);
  });

  it('is read back, and outlives a power loss once it is written', async () => {
    const world = testWorld(1);
    const node = world.node('m1');
    expect(await world.settle(readMemberFile(node.env))).toBeUndefined();
    await world.settle(writeMemberFile(node.env, { ...record, opened: false }));
    await world.settle(writeMemberFile(node.env, record));
    node.crash({ loseUnsynced: true });
    expect(await world.settle(readMemberFile(node.restart()))).toEqual(record);
  });

  it('with any bit flipped, or cut short, is damaged; of another version it is refused', () => {
    const bytes = encodeMemberFile(record, { crc32 });
    const damaged = expect.objectContaining({ code: 'LOG_CORRUPT' });
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeMemberFile(flipped, { crc32 })).toThrow(damaged);
    }
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeMemberFile(bytes.subarray(0, length), { crc32 })).toThrow(damaged);
    const later = bytes.slice();
    later[8] = 9;
    new DataView(later.buffer).setUint32(later.length - 4, crc32(later.subarray(0, -4)), true);
    expect(() => decodeMemberFile(later, { crc32 })).toThrow(expect.objectContaining({ code: 'WRONG_FORMAT' }));
  });
});
