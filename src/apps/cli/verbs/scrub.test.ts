import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toAddress, toChunkHandle } from '../../../core/base/brand.ts';
import type { Listener } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import type { ResponseOf } from '../../../core/protocol/call.ts';
import { chunkCalls } from '../../../core/protocol/chunk-calls.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import type { FakeCluster, FakeServer } from '../../../system/client/fake-cluster.test-support.ts';
import { routesOf } from '../../../system/rpc/handlers.ts';
import { RpcConnection } from '../../../system/rpc/rpc-connection.ts';
import { run as scrub } from './scrub.ts';
import { runVerb, startCluster } from './verb.test-support.ts';

type Answer = Partial<ResponseOf<(typeof chunkCalls)['scrub']>>;
/** What a server answers, one look after another, and the last for ever; undefined: it is down. */
type Answers = readonly (Answer | undefined)[];

let cluster: FakeCluster;
let listeners: Listener[];
/** Which looks told the server to search: those of each server, counted from 0. */
let told: number[][];

beforeEach(async () => {
  cluster = await startCluster();
  listeners = [];
  told = [];
});
afterEach(async () => {
  await Promise.all(listeners.map((listener) => listener.close()));
  await cluster.stop();
});

/** A chunkserver that has a scrubber, in the place of that one. */
async function answering(server: FakeServer, answers: Answers): Promise<void> {
  const env = nodeEnv({ dir: tmpdir() });
  const nows: number[] = [];
  told.push(nows);
  let looks = 0;
  const routes = routesOf(chunkCalls, {
    scrub: ({ now }) => {
      const answer = answers[Math.min(looks, answers.length - 1)];
      if (now) nows.push(looks);
      looks += 1;
      if (answer === undefined) throw new CairnError('UNAVAILABLE', 'it is down');
      const isRunning = answer.finishedAt === undefined;
      const usual = {
        isRunning,
        startedAt: undefined,
        finishedAt: undefined,
        chunks: 1,
        chunksTotal: 9,
        bytes: 1,
        damaged: [],
      };
      return { response: { ...usual, ...answer } };
    },
  });
  const listener = await env.network.listen(toAddress('127.0.0.1:0'), (connection) =>
    RpcConnection.accept(env, connection, {}, routes),
  );
  listeners.push(listener);
  server.address = listener.address;
}

const ended: Answers = [{ startedAt: 100 }, { startedAt: 100, finishedAt: 200, chunks: 9 }];
const damage = (handle: number) => ({ damaged: [{ handle: toChunkHandle(handle), blocks: 1 }] });

async function search(first: Answers, deadlineMs = 5000) {
  const [one, ...others] = cluster.servers;
  await answering(one!, first);
  for (const other of others) await answering(other, ended);
  const { out, err, exit } = await runVerb(scrub, cluster, { options: { now: true }, json: true, deadlineMs });
  const shown = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  return { first: shown[0], shown, err, exit };
}

describe('scrub --now', () => {
  test('waits until the pass of each server is over, and tells each once', async () => {
    const { shown, exit } = await search(ended);
    expect(shown).toMatchObject([1, 2, 3].map((server) => ({ server, running: false, chunks: 9, damaged: [] })));
    expect(told).toEqual([[0], [0], [0]]);
    expect(exit).toBe(0);
  });

  test('tells a server once more that has forgotten its pass', async () => {
    const forgotten = { startedAt: 20, finishedAt: 50, chunks: 0 };
    const { first, exit } = await search([
      ...[{ startedAt: 100 }, forgotten, { startedAt: 300 }],
      { startedAt: 300, finishedAt: 400, chunks: 9 },
    ]);
    expect(first).toMatchObject({ finishedAt: new Date(400).toISOString(), chunks: 9 });
    expect(told).toEqual([[0, 2], [0], [0]]);
    expect(exit).toBe(0);
  });

  test('tells a server that was down at first when it is up', async () => {
    const earlier = { startedAt: 20, finishedAt: 50 };
    const { first, exit } = await search([
      ...[undefined, earlier, { startedAt: 300 }],
      { startedAt: 300, finishedAt: 400, chunks: 9 },
    ]);
    expect(first).toMatchObject({ finishedAt: new Date(400).toISOString() });
    expect(told[0]).toEqual([0, 2]);
    expect(exit).toBe(0);
  });

  test('hurries a pass that goes on after a restart, and tells what was found before', async () => {
    const { first, exit } = await search([
      { startedAt: 100, chunks: 3, ...damage(7) },
      { startedAt: 100, chunks: 1 },
      { startedAt: 100, chunks: 1 },
      { startedAt: 100, finishedAt: 400, chunks: 6, ...damage(8) },
    ]);
    expect(first).toMatchObject({ damaged: [...damage(7).damaged, ...damage(8).damaged] });
    expect(told[0]).toEqual([0, 2]);
    expect(exit).toBe(10);
  });

  test('fails if a server does not come back in time, and tells what it had found', async () => {
    const gone = await search([{ startedAt: 100 }, undefined], 400);
    expect(gone.first).toMatchObject({ server: 1, error: { code: 'UNAVAILABLE' } });
    expect(gone.err).toContain('chunkservers 1 could not be asked');
    expect(gone.exit).toBe(7);
    const found = await search([{ startedAt: 100, ...damage(7) }, undefined], 400);
    expect(found.first).toMatchObject({ server: 1, error: { code: 'UNAVAILABLE' }, ...damage(7) });
    expect(found.exit).toBe(10);
  });
});
