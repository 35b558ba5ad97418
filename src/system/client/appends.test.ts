import { describe, expect, test } from 'vitest';
import { bytesEqual } from '../../core/base/bytes.ts';
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import type { MutationKind } from '../../core/protocol/chunk-calls.ts';
import type { CairnClient } from './client.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';

const kibi = 1024;
const chunkBytes = 64 * kibi;

/** A record that says who it is, of any length ≥ 8. */
function record(n: number, length = 64): Uint8Array {
  const bytes = sample(length, n + 1);
  new DataView(bytes.buffer).setUint32(0, 0xcafe);
  new DataView(bytes.buffer).setUint32(4, n);
  return bytes;
}

async function outcomes(work: readonly Promise<number>[]): Promise<(number | string)[]> {
  const settled = await Promise.allSettled(work);
  return settled.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as CairnError).code));
}

/** Appends records from…to−1 without waiting in between. */
function appendAll(client: CairnClient, path: string, from: number, to: number, length?: number): Promise<number>[] {
  return Array.from({ length: to - from }, (_, n) => client.recordAppend(path, record(from + n, length)));
}

/** Each record is where its append said, and nowhere else. */
function expectOnceEach(content: Uint8Array, positions: readonly (number | string)[], length = 64): void {
  positions.forEach((position, n) => {
    if (typeof position === 'string') return;
    expect(bytesEqual(content.subarray(position, position + length), record(n, length)), `record ${n}`).toBe(true);
  });
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  const seen = new Map<number, number>();
  for (let at = 0; at + 8 <= content.length; at++) {
    if (view.getUint32(at) === 0xcafe) seen.set(view.getUint32(at + 4), (seen.get(view.getUint32(at + 4)) ?? 0) + 1);
  }
  for (const [n, position] of positions.entries()) {
    if (typeof position === 'number') expect(seen.get(n), `record ${n} is there once`).toBe(1);
  }
}

function appendOf(kind: MutationKind) {
  if (kind.kind !== 'append') throw new Error('not an append');
  return kind;
}

describe('record append', () => {
  test('records of one turn leave in one frame, in order', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/log', 'a'));
    const positions = await cluster.run(
      Promise.all(Array.from({ length: 300 }, (_, n) => handle.recordAppend(record(n)))),
    );
    expect(positions).toEqual(Array.from({ length: 300 }, (_, n) => n * 64));
    expect(cluster.mutations.length).toBe(1);
    expectOnceEach(cluster.content('/log'), positions);
  });

  test('while two frames are under way the next one gathers', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/log', 'a'));
    for (const server of cluster.servers) server.mutateMs = 10;
    const all: Promise<number>[] = [];
    for (let n = 0; n < 100; n++) {
      cluster.world.after(n * 0.1, () => all.push(handle.recordAppend(record(n))));
    }
    await cluster.world.run(200);
    const positions = await cluster.run(Promise.all(all));
    expect(positions).toEqual(Array.from({ length: 100 }, (_, n) => n * 64));
    const primary = cluster.primaryOf('/log');
    expect(primary.inMutateMax).toBe(2);
    expect(primary.mutations.length).toBeLessThan(6);
  });

  test.each(['by handles', 'by paths'])(
    'of one file share a queue, however many files are appended to: %s',
    async (how) => {
      const cluster = await FakeCluster.start(1);
      const client = await cluster.client();
      for (const server of cluster.servers) server.mutateMs = 50;
      const paths = Array.from({ length: 300 }, (_, n) => `/log-${n}`);
      const handles = await cluster.run(Promise.all(paths.map((path) => client.open(path, 'a'))));
      const append = (file: number, n: number) =>
        how === 'by handles' ? handles[file]!.recordAppend(record(n)) : client.recordAppend(paths[file]!, record(n));
      const all = await cluster.run(
        Promise.all(paths.map((_, file) => Promise.all([append(file, 0), append(file, 1)]))),
      );
      expect(all.every(([first, second]) => first === 0 && second === 64)).toBe(true);
      expect(new Set(cluster.mutations.map(({ kind }) => appendOf(kind).writer)).size).toBe(paths.length);
    },
  );

  test('a frame holds at most 512 records, so that two fit into what a chunk remembers of a writer', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/log', 'a', { chunkBytes: 1024 * kibi }));
    await cluster.run(Promise.all(Array.from({ length: 1500 }, (_, n) => handle.recordAppend(record(n, 8)))));
    const lengths = cluster.primaryOf('/log').mutations.map(({ kind }) => appendOf(kind).lengths.length);
    expect(lengths).toEqual([512, 512, 476]);
  });

  test('a chunk that is full sends the rest on to the next; positions count the chunks before', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const positions = await cluster.run(Promise.all(appendAll(client, '/log', 0, 40, 10_000)));
    const perChunk = Math.floor(chunkBytes / 10_000);
    expect(positions).toEqual(
      Array.from({ length: 40 }, (_, n) => Math.floor(n / perChunk) * chunkBytes + (n % perChunk) * 10_000),
    );
    expectOnceEach(cluster.content('/log'), positions, 10_000);
  });

  test('a lost answer is asked for again and lands once', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/log', ''));
    for (const server of cluster.servers) server.afterMutate = (_, count) => (count % 2 === 1 ? 'lose' : undefined);
    const positions = await cluster.run(Promise.all(appendAll(client, '/log', 0, 200, 1000)));
    expectOnceEach(cluster.content('/log'), positions, 1000);
    expect(new Set(positions).size).toBe(200);
  });

  test('a record whose first try landed in the old chunk does not land again in the next', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    // Six records fit. The answer to the frame that fills the chunk is lost: five of its records are in, the sixth and later are not.
    const first = await cluster.run(client.recordAppend('/log', record(0, 10_000)));
    const primary = cluster.primaryOf('/log');
    primary.afterMutate = (_, count) => (count === 2 ? 'lose' : undefined);
    const rest = await cluster.run(Promise.all(appendAll(client, '/log', 1, 12, 10_000)));
    expectOnceEach(cluster.content('/log'), [first, ...rest], 10_000);
    const sent = cluster.mutations.filter(({ grant }) => grant.handle === cluster.mutations[0]!.grant.handle);
    const [, lost, again] = sent.map(({ kind }) => appendOf(kind));
    expect([again!.firstSequence, again!.lengths]).toEqual([lost!.firstSequence, lost!.lengths]);
  });

  test('a record whose answer is lost does not land again in the copy that its file gets after a snapshot', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const first = await cluster.run(client.recordAppend('/log', record(0)));
    cluster.primaryOf('/log').afterMutate = (_, count) => {
      if (count !== 2) return undefined;
      cluster.master.split('/log', 0);
      return 'lose';
    };
    const second = await cluster.run(client.recordAppend('/log', record(1)));
    expect(cluster.content('/log').length).toBe(128);
    expectOnceEach(cluster.content('/log'), [first, second]);
  });

  test.each([
    ['whose chunk is full', 'a'],
    ['that has looked for the end', 'b'],
  ])('an append %s leaves no hole in a file that is emptied just then', async (_, who) => {
    const cluster = await FakeCluster.start(1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    await cluster.run(Promise.all(appendAll(client, '/log', 0, who === 'a' ? 6 : 7, 10_000)));
    let cuts = 0;
    cluster.master.before = async (kind, request) => {
      if (kind !== 'acquire' || (request as { index: number }).index !== 1 || cuts > 0) return;
      cuts += 1;
      await other.truncate('/log', 0);
    };
    const appended = (who === 'a' ? client : await cluster.client()).recordAppend('/log', record(7, 10_000));
    expect(await cluster.run(appended)).toBe(0);
    expect([cuts, ...cluster.master.file('/log').chunks.keys()]).toEqual([1, 0]);
  });

  test('an append whose chunk is full goes to the chunk that has taken its place meanwhile, if it has room', async () => {
    const cluster = await FakeCluster.start(1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    await cluster.run(Promise.all(appendAll(client, '/log', 0, 6, 10_000)));
    let isCut = false;
    cluster.master.before = async (kind, request) => {
      if (kind !== 'acquire' || (request as { index: number }).index !== 1 || isCut) return;
      isCut = true;
      await other.truncate('/log', 0);
      await other.recordAppend('/log', record(8, 100));
    };
    expect(await cluster.run(client.recordAppend('/log', record(7, 10_000)))).toBe(100);
  });

  test('what is sent again says since when; what was refused before it had its place is sent as new', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.recordAppend('/log', record(0)));
    const primary = cluster.primaryOf('/log');
    const refuse = (code: ErrorCode) => {
      throw new CairnError(code, 'by order');
    };
    const before: Record<number, () => never> = {
      2: () => refuse('BUSY'),
      3: () => refuse('STALE_VERSION'),
      4: () => refuse('REPLICA_FAILED'),
      5: () => refuse('STALE_VERSION'),
    };
    for (const server of cluster.servers) server.beforeMutate = (_, count) => before[count]?.();
    await cluster.run(client.recordAppend('/log', record(1)));
    const sent = primary.mutations.map(({ grant, kind }) => [grant.version, appendOf(kind).since]);
    expect(sent).toEqual([
      [1, undefined],
      [1, undefined],
      [1, undefined],
      [2, undefined],
      [3, 2],
      [4, 2],
    ]);
  });

  test('a chunk that has forgotten the writer is asked no more: nobody knows whether the record is there', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.recordAppend('/log', record(0)));
    for (const server of cluster.servers) {
      server.afterMutate = () => (cluster.mutations.length === 2 ? 'lose' : undefined);
      server.beforeMutate = () => {
        if (cluster.mutations.length === 3) throw new CairnError('UNKNOWN_OUTCOME', 'so much was appended since');
        return undefined;
      };
    }
    expect(await cluster.run(outcomes([client.recordAppend('/log', record(1))]))).toEqual(['UNKNOWN_OUTCOME']);
    expect(cluster.mutations).toHaveLength(3);
    expect(await cluster.run(client.recordAppend('/log', record(2)))).toBe(128);
  });

  test('behind a chunk that is lost appends go on in the next', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.recordAppend('/log', record(0)));
    const { handle: lost } = cluster.master.file('/log').chunks.get(0)!;
    for (const server of cluster.servers)
      server.beforeMutate = ({ grant }) => {
        if (grant.handle === lost) throw new CairnError('DATA_LOST', 'nobody has it any more');
        return undefined;
      };
    expect(await cluster.run(Promise.all(appendAll(client, '/log', 1, 3)))).toEqual([chunkBytes, chunkBytes + 64]);
  });

  test('while an outcome is unknown nothing goes to the next chunk, however long that takes', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(Promise.all(appendAll(client, '/log', 0, 6, 10_000)));
    let refusals = 0;
    for (const server of cluster.servers) {
      server.beforeMutate = () => {
        refusals += 1;
        if (refusals > 12) return undefined;
        expect(cluster.master.file('/log').chunks.size).toBe(1);
        throw new CairnError('LEASE_EXPIRED', 'not now');
      };
    }
    const handle = await cluster.run(client.open('/log', 'a'));
    const inOneFrame = [6, 7, 8].map((n) => handle.recordAppend(record(n, 10_000)));
    const positions = await cluster.run(Promise.all(inOneFrame));
    expect(positions).toEqual([chunkBytes, chunkBytes + 10_000, chunkBytes + 20_000]);
    expect(cluster.master.file('/log').chunks.get(0)!.version).toBeGreaterThan(12);
  });

  test('a primary that dies under way costs a new version, no record and no duplicate', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.recordAppend('/log', record(0)));
    const primary = cluster.primaryOf('/log');
    for (const server of cluster.servers) server.mutateMs = 20;
    const all = appendAll(client, '/log', 1, 100);
    cluster.world.after(6, () => primary.node.crash());
    const before = cluster.world.now;
    const positions = await cluster.run(Promise.all(all));
    expect(cluster.world.now - before).toBeLessThan(1000);
    expect(cluster.primaryOf('/log')).not.toBe(primary);
    expectOnceEach(cluster.content('/log'), [0, ...positions]);
  });

  test('a primary that is stopped is left behind within two and a half seconds', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.recordAppend('/log', record(0)));
    cluster.primaryOf('/log').node.pause();
    const before = cluster.world.now;
    const position = await cluster.run(client.recordAppend('/log', record(1)));
    expect(cluster.world.now - before).toBeLessThan(2500);
    expectOnceEach(cluster.content('/log'), [0, position]);
    expect(cluster.events).toContain('client.serverSilent');
  });

  test('two clients that append to one file lose and repeat nothing', async () => {
    const cluster = await FakeCluster.start(1);
    const [one, two] = [await cluster.client(), await cluster.client({}, 'other')];
    for (const server of cluster.servers) server.afterMutate = (_, count) => (count % 5 === 0 ? 'lose' : undefined);
    const all: Promise<number>[] = [];
    for (let n = 0; n < 60; n++) all.push((n % 2 === 0 ? one : two).recordAppend('/log', record(n, 5000)));
    const positions = await cluster.run(Promise.all(all));
    expectOnceEach(cluster.content('/log'), positions, 5000);
  });

  test('exactly once over many chunks, whatever is lost, refused or delayed (20 seeds)', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const cluster = await FakeCluster.start(`appends ${seed}`);
      const client = await cluster.client({ deadlineMs: 20_000 });
      const { random } = cluster.world.node('chance').env;
      for (const server of cluster.servers) {
        server.mutateMs = random.below(5);
        server.beforeMutate = () => {
          if (random.below(10) === 0)
            throw new CairnError(random.below(2) === 0 ? 'BUSY' : 'LEASE_EXPIRED', 'by chance');
          return undefined;
        };
        server.afterMutate = () => (random.below(6) === 0 ? 'lose' : undefined);
      }
      const all: Promise<number>[] = [];
      for (let n = 0; n < 60; n++)
        cluster.world.after(random.below(40), () => all.push(client.recordAppend('/log', record(all.length, 4000))));
      await cluster.world.run(50);
      const positions = await cluster.run(Promise.all(all));
      expectOnceEach(cluster.content('/log'), positions, 4000);
    }
  });

  test('too large and empty records are refused at once', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    expect(await cluster.run(outcomes([client.recordAppend('/log', sample(chunkBytes / 4))]))).toEqual([0]);
    const refused = [client.recordAppend('/log', sample(chunkBytes / 4 + 1)), client.recordAppend('/log', sample(0))];
    expect(await cluster.run(outcomes(refused))).toEqual(['RECORD_TOO_LARGE', 'INVALID_ARGUMENT']);
    const large = await cluster.run(client.open('/large', 'a', { chunkBytes: 64 * 1024 * kibi }));
    const over = cluster.run(outcomes([large.recordAppend(sample(1024 * kibi + 1))]));
    expect(await over).toEqual(['RECORD_TOO_LARGE']);
  });

  test('appendFile splits what is larger than a record, in order', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const bytes = sample(60 * kibi);
    await cluster.run(client.appendFile('/log', bytes));
    await cluster.run(client.appendFile('/log', 'end'));
    const content = cluster.content('/log');
    expect(bytesEqual(content.subarray(0, 60 * kibi), bytes)).toBe(true);
    expect(new TextDecoder().decode(content.subarray(60 * kibi))).toBe('end');
  });

  test('what is appended in many records may take longer than one call has, as long as it makes progress', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 2000 });
    let turn: Promise<undefined> = Promise.resolve(undefined);
    for (const server of cluster.servers)
      server.beforeMutate = () => {
        turn = turn.then(() => new Promise((go) => cluster.world.after(60, () => go(undefined))));
        return turn;
      };
    const bytes = sample(24 * 1024 * kibi);
    await cluster.run(client.appendFile('/log', bytes, { chunkBytes: 1024 * kibi }));
    expect(cluster.world.now).toBeGreaterThan(2000);
    expect(bytesEqual(cluster.content('/log'), bytes)).toBe(true);
    const handle = await cluster.run(client.open('/other', 'a', { chunkBytes: 1024 * kibi }));
    await cluster.run(handle.write(bytes));
    expect(bytesEqual(cluster.content('/other'), bytes)).toBe(true);
  });

  test('a stream of very small records holds its writer back, in number too', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (const server of cluster.servers) server.mutateMs = 5;
    const stream = await cluster.run(client.writeStream('/log', { flags: 'a', chunkBytes: 1024 * kibi }));
    let written = 0;
    let taken = 0;
    const all = (async () => {
      for (; written < 20_000; written++) await stream.write(Uint8Array.of(written));
      await stream.close();
    })();
    await cluster.world.run(4);
    taken = written;
    await cluster.run(all);
    expect(taken).toBeLessThan(10_000);
    const content = cluster.content('/log');
    expect([content.length, content.every((byte, n) => byte === n % 256)]).toEqual([20_000, true]);
  });

  test('appends by path go to the file that is there, however often it is removed and made anew meanwhile', async () => {
    const cluster = await FakeCluster.start(1);
    const [client, other] = [await cluster.client(), await cluster.client({}, 'other')];
    let replaced = 0;
    const replaceFor = (times: number) => {
      replaced = 0;
      cluster.master.before = async (kind) => {
        if (kind !== 'locate' || replaced === times) return;
        replaced += 1;
        await other.rm('/log');
        await other.writeFile('/log', 'new');
      };
    };
    await cluster.run(client.writeFile('/log', ''));
    replaceFor(3);
    expect(await cluster.run(client.recordAppend('/log', record(0)))).toBe(3);
    expect([replaced, cluster.content('/log').length]).toEqual([3, 67]);
    replaceFor(2);
    const long = sample(40 * kibi);
    const cold = await cluster.client();
    await cluster.run(Promise.all([cold.appendRecord('/log', record(1)), cold.appendFile('/log', long)]));
    expect(cluster.content('/log').length).toBe(3 + 32 + 64 + long.length);
    replaceFor(1000);
    const last = await cluster.client();
    expect(await cluster.run(outcomes([last.recordAppend('/log', record(2))]))).toEqual(['STALE_HANDLE']);
    expect(replaced).toBeLessThan(20);
  });

  test('a file that was emptied by somebody else is appended to from its beginning', async () => {
    const cluster = await FakeCluster.start(1);
    const [client, other] = [await cluster.client(), await cluster.client({}, 'other')];
    await cluster.run(Promise.all(appendAll(client, '/log', 0, 10, 10_000)));
    await cluster.run(other.writeFile('/log', ''));
    expect(await cluster.run(client.recordAppend('/log', record(0)))).toBe(0);
    const handle = await cluster.run(client.open('/log', 'a'));
    await cluster.world.run(3000); // its grant is cold: the end is looked up
    await cluster.run(other.writeFile('/log', ''));
    expect(await cluster.run(handle.recordAppend(record(0)))).toBe(0);
    expect(cluster.master.file('/log').chunks.size).toBe(1);
  });

  test('a file that was emptied and written again, as long as before, is appended to where it ends now', async () => {
    const cluster = await FakeCluster.start(1);
    const [client, other] = [await cluster.client(), await cluster.client({}, 'other')];
    await cluster.run(Promise.all(appendAll(client, '/log', 0, 8, 10_000)));
    await cluster.run(other.writeFile('/log', sample(chunkBytes + 10)));
    expect(await cluster.run(client.recordAppend('/log', record(0)))).toBe(chunkBytes + 10);
    expect(cluster.content('/log').length).toBe(chunkBytes + 10 + 64);
  });

  test('a file that is renamed or replaced: the path says which is meant, the handle stays with its file', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/log', 'a'));
    await cluster.run(handle.append(record(0)));
    await cluster.run(client.rename('/log', '/log.1'));
    expect(await cluster.run(client.recordAppend('/log', record(1)))).toBe(0);
    expect(await cluster.run(handle.recordAppend(record(2)))).toBe(64);
    expect([cluster.content('/log').length, cluster.content('/log.1').length]).toEqual([64, 128]);
  });
});

describe('appends that cannot succeed', () => {
  test('end within the deadline, and those behind them too', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 2000 });
    await cluster.run(client.recordAppend('/log', record(0)));
    for (const server of cluster.servers) server.afterMutate = () => 'lose';
    const before = cluster.world.now;
    const all = appendAll(client, '/log', 1, 2000, 60);
    const codes = new Set(await cluster.run(outcomes(all)));
    expect(cluster.world.now - before).toBeLessThan(4500);
    for (const code of codes) expect(['TIMED_OUT', 'UNAVAILABLE']).toContain(code);
    const why = await all[0]!.catch(({ message }: CairnError) => message);
    expect(String(why).match(/did not succeed within/g)).toHaveLength(1);
    for (const server of cluster.servers) server.afterMutate = () => undefined;
    const position = await cluster.run(client.recordAppend('/log', record(5000)));
    expect(bytesEqual(cluster.content('/log').subarray(position, position + 64), record(5000))).toBe(true);
  });

  test('take nobody with them who has time left', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 4000 });
    await cluster.run(client.recordAppend('/log', record(0)));
    const handle = await cluster.run(client.open('/log', 'a'));
    const begun = cluster.world.now;
    for (const server of cluster.servers)
      server.beforeMutate = () => {
        if (cluster.world.now - begun < 5500) throw new CairnError('LEASE_EXPIRED', 'not now');
        return undefined;
      };
    const appended: Promise<number | string>[] = [];
    for (const [n, ms] of [0, 600, 3500].entries())
      cluster.world.after(ms, () =>
        appended.push(outcomes([handle.recordAppend(record(n + 1))]).then(([one]) => one!)),
      );
    await cluster.world.run(4000);
    expect(await cluster.run(Promise.all(appended))).toEqual(['UNAVAILABLE', 'UNAVAILABLE', 64]);
  });

  test('a primary that was stopping when it answered may have kept the record: nobody is told that it is not there', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 1500 });
    await cluster.run(client.recordAppend('/log', record(0)));
    cluster.primaryOf('/log').afterMutate = () => {
      throw new CairnError('UNAVAILABLE', 'this server is stopping');
    };
    cluster.master.before = (kind) => {
      if (kind === 'acquire') throw new CairnError('UNAVAILABLE', 'no grant just now');
    };
    expect(await outcomes([cluster.run(client.recordAppend('/log', record(1)))])).toEqual(['TIMED_OUT']);
    expect(cluster.content('/log').length).toBe(128);
  });

  test('a record for which no chunk could be had is certainly not there, whatever became of the question', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 1500 });
    await cluster.run(client.writeFile('/log', ''));
    cluster.master.before = (kind) => (kind === 'acquire' ? new Promise(() => undefined) : undefined);
    expect(await outcomes([cluster.run(client.recordAppend('/log', record(0)))])).toEqual(['NO_QUORUM']);
  });

  test('a file that is gone says so', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 2000 });
    const handle = await cluster.run(client.open('/log', 'a'));
    await cluster.run(client.rm('/log'));
    expect(await cluster.run(outcomes([handle.recordAppend(record(0))]))).toEqual(['STALE_HANDLE']);
  });

  test('no master: the error comes within the deadline', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 2000 });
    const handle = await cluster.run(client.open('/log', 'a'));
    cluster.world.node('master').crash();
    const before = cluster.world.now;
    expect(await cluster.run(outcomes([handle.recordAppend(record(0))]))).toEqual(['NO_QUORUM']);
    expect(cluster.world.now - before).toBeLessThan(3500);
  });
});

describe('back-pressure and giving up', () => {
  test('queued records are bounded; callers beyond wait, in order', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 60_000 });
    const handle = await cluster.run(client.open('/log', 'a', { chunkBytes: 4 * 1024 * kibi }));
    const bytes = sample(1024 * kibi);
    for (const server of cluster.servers) server.mutateMs = 50;
    const all = Array.from({ length: 20 }, () => handle.recordAppend(bytes));
    const positions = await cluster.run(Promise.all(all));
    expect(positions).toEqual(Array.from({ length: 20 }, (_, n) => n * 1024 * kibi));
    expect(Math.max(...cluster.servers.map(({ inMutateMax }) => inMutateMax))).toBeLessThanOrEqual(2);
  });

  test('an abort ends the wait at once; a record that was not sent is not there', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/log', 'a'));
    await cluster.run(handle.recordAppend(record(0)));
    cluster.primaryOf('/log').mutateMs = 300;
    const underWay = handle.recordAppend(record(1));
    await cluster.world.run(20);
    const alsoUnderWay = handle.recordAppend(record(2));
    await cluster.world.run(20);
    const controller = new AbortController();
    const queued = handle.recordAppend(record(3), { signal: controller.signal });
    await cluster.world.run(20);
    controller.abort();
    const before = cluster.world.now;
    expect(await cluster.run(outcomes([queued]))).toEqual(['ABORTED']);
    expect(cluster.world.now - before).toBeLessThan(1);
    expect(await cluster.run(Promise.all([underWay, alsoUnderWay]))).toEqual([64, 128]);
    expect(cluster.content('/log').length).toBe(192);
  });

  test('what its caller has given up is not sent again, neither to its chunk nor to the next', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(Promise.all(appendAll(client, '/log', 0, 6, 10_000)));
    const handle = await cluster.run(client.open('/log', 'a'));
    const abortedAfter = async (ms: number, bytes: number) => {
      const controller = new AbortController();
      cluster.world.after(ms, () => controller.abort());
      const before = cluster.mutations.length;
      const aborted = handle.recordAppend(record(7, bytes), { signal: controller.signal });
      expect(await cluster.run(outcomes([aborted]))).toEqual(['ABORTED']);
      const sent = cluster.mutations.length - before;
      await cluster.world.run(5000);
      return cluster.mutations.length - before - sent;
    };
    for (const server of cluster.servers) server.mutateMs = 50;
    expect(await abortedAfter(20, 10_000)).toBe(0); // it does not fit
    for (const server of cluster.servers)
      server.beforeMutate = () => {
        throw new CairnError('LEASE_EXPIRED', 'not now');
      };
    expect(await abortedAfter(200, 100)).toBeLessThanOrEqual(1);
    for (const server of cluster.servers) server.beforeMutate = () => undefined;
    expect(await cluster.run(handle.recordAppend(record(8, 10_000)))).toBe(chunkBytes);
  });

  test('what was given up may be filled anew: the records beside it land all the same, in their order', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/log', 'a'));
    await cluster.run(handle.recordAppend(record(0)));
    const controller = new AbortController();
    cluster.primaryOf('/log').afterMutate = (_, count) => {
      if (count !== 2) return undefined;
      controller.abort();
      return 'lose';
    };
    const bytes = record(1);
    const givenUp = handle.recordAppend(bytes, { signal: controller.signal });
    givenUp.catch(() => bytes.fill(0xff));
    expect(await cluster.run(outcomes([givenUp, handle.recordAppend(record(2))]))).toEqual(['ABORTED', 128]);
    expectOnceEach(cluster.content('/log'), [0, 64, 128]);
  });

  test('an abort ends the wait for room at once too', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 60_000 });
    const handle = await cluster.run(client.open('/log', 'a', { chunkBytes: 4 * 1024 * kibi }));
    const bytes = sample(1024 * kibi);
    for (const server of cluster.servers) server.mutateMs = 500;
    const all = Array.from({ length: 12 }, () => handle.recordAppend(bytes));
    await cluster.world.run(20);
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = [handle.recordAppend(bytes, { signal }), handle.appendRecord(record(1), { signal })];
    await cluster.world.run(20);
    controller.abort();
    const before = cluster.world.now;
    expect(await cluster.run(outcomes(waiting))).toEqual(['ABORTED', 'ABORTED']);
    expect(cluster.world.now - before).toBeLessThan(1);
    expect((await cluster.run(Promise.all(all))).length).toBe(12);
    await cluster.world.run(5000);
    expect(cluster.content('/log').length).toBe(12 * 1024 * kibi);
  });
});
