import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FakeCluster } from '../../../system/client/fake-cluster.test-support.ts';
import { Cairn, type ClusterStatus } from '../../library/client.ts';
import { run as drain } from './drain.ts';
import { runVerb, startCluster } from './verb.test-support.ts';

type State = ClusterStatus['servers'][number]['state'];

let cluster: FakeCluster;

beforeEach(async () => {
  cluster = await startCluster();
});
afterEach(() => cluster.stop());

/** What `drain 1 --wait` says while the server is in these states, one look after another. */
async function waiting(states: readonly State[]) {
  const looks = states.map((state, n): ClusterStatus => {
    const server = { id: 1, state, needed: states.length - n } as ClusterStatus['servers'][number];
    return { servers: [server], replication: 3 } as unknown as ClusterStatus;
  });
  vi.spyOn(Cairn.prototype, 'drain').mockResolvedValue();
  vi.spyOn(Cairn.prototype, 'status').mockImplementation(() => Promise.resolve(looks.shift()!));
  return runVerb(drain, cluster, { args: ['1'], options: { wait: true }, json: true });
}

describe('drain --wait', () => {
  test('ends when no chunk needs the server, also one that is silent', async () => {
    const { out, exit } = await waiting(['draining', 'suspect', 'dead', 'drained']);
    expect(out.match(/"state":"\w+"/g)).toEqual(
      ['draining', 'suspect', 'dead', 'drained'].map((state) => `"state":"${state}"`),
    );
    expect(exit).toBe(0);
  });

  test('fails when the drain is undone meanwhile', async () => {
    const { out, err, exit } = await waiting(['draining', 'healthy']);
    expect(out).toContain('{"server":1,"state":"draining","needed":2}');
    expect(err).toContain('{"code":"ABORTED","message":"the drain of chunkserver 1 was undone');
    expect(exit).toBe(9);
  });
});
