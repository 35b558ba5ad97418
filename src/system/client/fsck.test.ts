import { describe, expect, test } from 'vitest';
import type { Mode } from '../../core/protocol/types.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';
import type { ChunkFinding } from './fsck.ts';

interface Replica {
  version: number;
  bytes: Uint8Array;
}

/** A file of one sealed chunk of 1000 bytes at version 3; `harm` does something to its replicas, in the order of the chunk's servers. */
async function findingsAfter(harm: (replicas: readonly Replica[]) => void, mode: Mode = 'strong', count = 3) {
  const cluster = await FakeCluster.start(1, { servers: count });
  const client = await cluster.client();
  const { master } = cluster;
  const attributesOf = master.attributesOf.bind(master);
  master.attributesOf = (inode) => ({ ...attributesOf(inode), mode });
  await cluster.run(client.writeFile('/f', sample(1000), { replication: count }));
  master.seal('/f', 0);
  const chunk = master.file('/f').chunks.get(0)!;
  chunk.version = 3;
  const replicas = chunk.servers.map((id) => cluster.server(id).chunks.get(chunk.handle)!);
  for (const replica of replicas) replica.version = 3;
  harm(replicas);
  const findings: ChunkFinding[] = [];
  await cluster.run(client.fsck('/', { onFinding: (finding) => findings.push(finding) }));
  return findings.map((finding) => [finding.problem, ...finding.replicas.map(({ condition }) => condition)].join(' '));
}

function shorten(replica: Replica): void {
  replica.bytes = replica.bytes.slice(0, 900);
}

function alter(replica: Replica, seed: number): void {
  replica.bytes = sample(1000, seed);
}

describe('a replica of a sealed chunk that readers refuse is behind', () => {
  test('where all of them are short alike the chunk is lost', async () => {
    expect(await findingsAfter((all) => all.forEach(shorten))).toEqual(['lost behind behind behind']);
  });

  test('where the only one is of an earlier version the chunk is lost', async () => {
    expect(await findingsAfter(([only]) => (only!.version = 2), 'strong', 1)).toEqual(['lost behind']);
  });

  test.each(['strong', 'async', 'gfs'] as const)('in mode %s the whole ones are good beside it', async (mode) => {
    expect(await findingsAfter(([first]) => shorten(first!), mode)).toEqual(['short behind good good']);
    expect(await findingsAfter(([first]) => (first!.version = 2), mode)).toEqual(['short behind good good']);
  });

  test('nobody need have anything of a chunk without bytes', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/f', sample(10)));
    const chunk = cluster.master.file('/f').chunks.get(0)!;
    chunk.sealedLength = 0;
    cluster.server(1).chunks.clear();
    cluster.server(2).chunks.get(chunk.handle)!.version = 0;
    expect(await cluster.run(client.fsck('/'))).toMatchObject({ chunks: 1, lost: 0, short: 0, divergent: 0 });
  });
});

describe('whole replicas that are not the same', () => {
  test('differ from most of the others, wherever they stand among them', async () => {
    expect(await findingsAfter(([first]) => alter(first!, 2))).toEqual(['divergent differs good good']);
    expect(await findingsAfter(([, second]) => alter(second!, 2))).toEqual(['divergent good differs good']);
  });

  test('all differ where no more than half are the same', async () => {
    const each = await findingsAfter((all) => {
      for (const [n, one] of all.entries()) alter(one, n + 2);
    });
    expect(each).toEqual(['divergent differs differs differs']);
    const halfOf = (all: readonly Replica[]) => {
      for (const one of all.slice(2)) alter(one, 2);
    };
    expect(await findingsAfter(halfOf, 'strong', 4)).toEqual(['divergent differs differs differs differs']);
  });

  test('are compared without those that are behind', async () => {
    const found = await findingsAfter(([first, second]) => {
      shorten(first!);
      alter(second!, 2);
    });
    expect(found).toEqual(['divergent behind differs differs']);
  });

  test('are what mode gfs promises', async () => {
    expect(await findingsAfter(([first]) => alter(first!, 2), 'gfs')).toEqual([]);
  });
});
