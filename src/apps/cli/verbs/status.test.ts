import { describe, expect, it } from 'vitest';
import type { ClusterStatus } from '../../library/client.ts';
import { troublesOf } from './status.ts';

type Master = ClusterStatus['masters'][number];
type Server = ClusterStatus['servers'][number];

function status(
  given: { roles?: Master['role'][]; states?: Server['state'][]; full?: number[] } & Partial<ClusterStatus>,
): ClusterStatus {
  const { roles = ['leader', 'follower', 'follower'], states = ['healthy', 'healthy', 'healthy'] } = given;
  const { roles: _, states: __, full = [], ...rest } = given;
  return {
    clusterId: 'photos',
    leader: 1,
    masters: roles.map((role, n) => ({ id: n + 1, role, standing: 'voter' }) as Master),
    servers: states.map((state, n) => ({ id: n + 1, state, freeBytes: full.includes(n + 1) ? 0 : 1 }) as Server),
    ...{ files: 1, directories: 1, chunks: 1, underReplicatedChunks: 0, lostChunks: 0, replication: 3 },
    ...rest,
  };
}

describe('the troubles of a cluster', () => {
  it('are none where all masters answer, all chunkservers report, and no chunk lacks copies', () => {
    expect(troublesOf(status({}))).toEqual([]);
    expect(troublesOf(status({ states: ['healthy', 'draining', 'drained'] }))).toEqual([]);
  });

  it('are there where nobody takes chunks', () => {
    expect(troublesOf(status({ states: [] }))).toEqual([expect.stringContaining('no chunkserver has registered')]);
    expect(troublesOf(status({ states: ['draining', 'drained'] }))).toEqual([
      expect.stringContaining('drain ID --undo'),
    ]);
  });

  it('are there where two masters vote: neither may fail', () => {
    expect(troublesOf(status({ roles: ['leader', 'follower'] }))).toEqual([
      expect.stringContaining('neither may fail; add a third'),
    ]);
    expect(troublesOf(status({ roles: ['leader'] }))).toEqual([]);
  });

  it('name whose disk is full', () => {
    expect(troublesOf(status({ full: [1, 3] }))).toEqual(['no room left: chunkservers 1, 3']);
  });

  it('name who is missing, and what lacks copies', () => {
    const ill = status({
      ...{ roles: ['leader', 'down', 'down'], states: ['dead', 'suspect', 'dead'] },
      ...{ underReplicatedChunks: 1, lostChunks: 2 },
    });
    expect(troublesOf(ill)).toEqual([
      'down: masters 2, 3',
      'suspect: chunkserver 2',
      'dead: chunkservers 1, 3; bring back, or, what is gone for good, `cairn drain ID`',
      'fewer copies than there should be: 1 chunk',
      'no copy left that can be reached: 2 chunks; `cairn fsck` names the files',
    ]);
  });
});
