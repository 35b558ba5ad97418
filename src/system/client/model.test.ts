import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesEqual } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';

const chunkBytes = 64 * 1024;
const fileMax = 5 * chunkBytes;

type Step =
  | { readonly kind: 'write'; readonly position: number; readonly length: number; readonly seed: number }
  | { readonly kind: 'read'; readonly position: number; readonly length: number }
  | { readonly kind: 'append'; readonly length: number; readonly seed: number }
  | { readonly kind: 'stream'; readonly position: number }
  | { readonly kind: 'truncate'; readonly size: number; readonly byHandle: boolean }
  | { readonly kind: 'empty' }
  | { readonly kind: 'wait'; readonly ms: number };

const near = fc.oneof(
  fc.integer({ min: 0, max: fileMax }),
  fc
    .integer({ min: 0, max: 5 })
    .chain((chunk) => fc.integer({ min: -3, max: 3 }).map((by) => Math.max(0, chunk * chunkBytes + by))),
);
const length = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2 * chunkBytes }));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('write' as const), position: near, length, seed: fc.nat(1000) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), position: near, length }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      length: fc.integer({ min: 1, max: chunkBytes / 4 }),
      seed: fc.nat(1000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stream' as const), position: near }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('truncate' as const), size: near, byHandle: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'empty' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 2500, 7000) }) },
);

/** A file as an array of bytes. Writing leaves zeros in what it skips; an append that does not fit begins the next chunk. */
class Model {
  bytes = new Uint8Array(0);

  write(position: number, bytes: Uint8Array): void {
    const all = new Uint8Array(Math.max(this.bytes.length, position + bytes.length));
    all.set(this.bytes);
    all.set(bytes, position);
    this.bytes = all;
  }
  truncate(size: number): void {
    const all = new Uint8Array(size);
    all.set(this.bytes.subarray(0, size));
    this.bytes = all;
  }
  append(bytes: Uint8Array): number {
    const left = chunkBytes - (this.bytes.length % chunkBytes);
    const at = bytes.length > left ? this.bytes.length + left : this.bytes.length;
    this.write(at, bytes);
    return at;
  }
}

/** The network and the servers fail now and then, as `faults` says: nothing of it may be seen. */
async function run(seed: number, steps: readonly Step[], faults: number): Promise<void> {
  const cluster = await FakeCluster.start(seed);
  const [client, other] = [
    await cluster.client({ deadlineMs: 30_000 }),
    await cluster.client({ deadlineMs: 30_000 }, 'other'),
  ];
  const { random } = cluster.world.node('chance').env;
  const fails = () => random.below(100) < faults;
  for (const server of cluster.servers) {
    server.beforeMutate = () => {
      if (fails()) throw new CairnError(random.below(2) === 0 ? 'BUSY' : 'STALE_VERSION', 'by chance');
      return undefined;
    };
    server.afterMutate = () => (fails() ? 'lose' : undefined);
    server.beforeRead = () => {
      if (fails()) throw new CairnError(random.below(2) === 0 ? 'UNAVAILABLE' : 'DISK_CORRUPT', 'by chance');
      return fails() ? 'lose' : undefined;
    };
    server.spoil = (_, body) => {
      if (fails() && body.length > 0) body[random.below(body.length)]! ^= 1;
    };
  }
  const model = new Model();
  await cluster.run(client.writeFile('/f', ''));
  let handle = await cluster.run(client.open('/f', 'r+'));
  for (const one of steps) {
    switch (one.kind) {
      case 'write': {
        const bytes = sample(one.length, one.seed);
        await cluster.run(handle.write(bytes, { position: one.position }));
        model.write(one.position, bytes);
        break;
      }
      case 'read': {
        const memory = new Uint8Array(one.length).fill(0xee);
        const { bytesRead } = await cluster.run(handle.read(memory, { position: one.position }));
        const expected = model.bytes.subarray(one.position, one.position + one.length);
        expect(bytesRead).toBe(expected.length);
        expect(bytesEqual(memory.subarray(0, bytesRead), expected)).toBe(true);
        break;
      }
      case 'append': {
        const bytes = sample(one.length, one.seed);
        expect(await cluster.run(other.recordAppend('/f', bytes))).toBe(model.append(bytes));
        break;
      }
      case 'stream': {
        const read = await cluster.run(other.readFile('/f', { start: one.position }));
        expect(bytesEqual(read, model.bytes.subarray(one.position))).toBe(true);
        break;
      }
      case 'truncate':
        await cluster.run(one.byHandle ? handle.truncate(one.size) : other.truncate('/f', one.size));
        model.truncate(one.size);
        // What this client knew of the file is of another one: see docs/client.md.
        if (!one.byHandle) handle = await cluster.run(client.open('/f', 'r+'));
        break;
      case 'empty':
        await cluster.run(other.writeFile('/f', ''));
        handle = await cluster.run(client.open('/f', 'r+'));
        model.bytes = new Uint8Array(0);
        break;
      case 'wait':
        await cluster.world.run(one.ms);
        break;
      default:
        one satisfies never;
    }
    expect((await cluster.run(other.stat('/f'))).size).toBe(model.bytes.length);
  }
}

describe('a file is an array of bytes', () => {
  test.each([
    ['when all goes well', 0],
    ['whatever fails now and then', 8],
  ])('for random reads, writes, appends and changes of length of two clients, %s', async (_, faults) => {
    const run1 = fc.asyncProperty(fc.nat(), fc.array(step, { minLength: 1, maxLength: 25 }), (seed, steps) =>
      run(seed, steps, faults),
    );
    await fc.assert(run1, { numRuns: 60, seed: 20_260_101 });
  });
});
