import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeCluster, sample } from '../../../system/client/fake-cluster.test-support.ts';
import { run as fsck } from './fsck.ts';
import { runVerb, startCluster, withCairn } from './verb.test-support.ts';

let cluster: FakeCluster;

/** With a file of two sealed chunks on three servers. */
beforeEach(async () => {
  cluster = await startCluster();
  await withCairn(cluster, (cairn) => cairn.writeFile('/f', sample(2 * 65_536)));
  cluster.master.seal('/f', 0);
  cluster.master.seal('/f', 1);
});
afterEach(() => cluster.stop());

describe('fsck --regions', () => {
  const regions = (json = false) => runVerb(fsck, cluster, { options: { regions: '/f' }, json });
  const out = '           0        65536  consistent\n       65536       131072  consistent\n';

  test('ends with 0 where all replicas could be read', async () => {
    expect(await regions()).toEqual({ out, err: '', exit: 0 });
  });

  test('tells which could not be read, once for a chunk, and ends with 7', async () => {
    cluster.server(2).chunks.delete(2);
    const why = '[CHUNK_MISSING] /f: server 2 did not give its replica of chunk 2; `cairn fsck` tells more';
    expect(await regions()).toEqual({ out, err: `cairn: ${why}\n`, exit: 7 });
  });

  test('tells which bytes no replica gave, and ends with 10', async () => {
    cluster.server(1).chunks.delete(1);
    for (const { chunks } of cluster.servers) chunks.get(2)!.bytes = sample(1000);
    const said = await regions(true);
    const [whole, short, lost] = [
      { from: 0, to: 65_536, state: 'consistent', handle: 1, read: 2, unread: [{ server: 1, code: 'CHUNK_MISSING' }] },
      { from: 65_536, to: 66_536, state: 'consistent', handle: 2, read: 3, unread: [] },
      { from: 66_536, to: 131_072, state: 'unknown', handle: 2, read: 0, unread: [] },
    ];
    expect(said.out).toBe([whole, short, lost].map((region) => `${JSON.stringify(region)}\n`).join(''));
    const codes = [...said.err.matchAll(/"path":"\/f","error":\{"code":"(\w+)"/g)].map(([, code]) => code);
    expect(codes).toEqual(['CHUNK_MISSING', 'DATA_LOST']);
    expect(said.exit).toBe(10);
  });
});
