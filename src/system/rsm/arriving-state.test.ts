import { describe, expect, it } from 'vitest';
import { type Millis, toNodeId } from '../../core/base/brand.ts';
import { toUtf8 } from '../../core/base/bytes.ts';
import { crc32 } from '../../core/base/crc32.ts';
import { CairnError } from '../../core/base/errors.ts';
import {
  defaultLimits,
  defaultTiming,
  type Effects,
  type Engine,
  type EngineKind,
  type EngineStatus,
  toEpoch,
  toLogIndex,
} from '../../core/consensus/engine.ts';
import { noop } from '../../core/consensus/entry-format.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { openFileMap } from '../storage/file-map.ts';
import { MemoryMap } from '../storage/memory-map.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { openWriteAheadLog } from '../storage/wal/open-write-ahead-log.ts';
import { encodePoint, savePoint } from './point.ts';
import { Replica } from './replica.ts';
import { encodePairs, type SnapshotPart } from './snapshot-transfer.ts';

const [self, peer] = [1, 2].map(toNodeId) as [ReturnType<typeof toNodeId>, ReturnType<typeof toNodeId>];
const members = { voters: [self, peer], nonVoters: [] };
const nothingHappens = { send: [], sendAfter: [], reads: [], dropped: [], completed: [], snapshots: [], trace: [] };

/** A leader of few words: each message commits one entry, and each read is granted at what is committed. */
class ScriptedLeader implements Engine<string, Uint8Array> {
  readonly nextTickAt = 1e9 as Millis;
  readonly status = { role: 'leader', term: 1, established: true, leader: self } as unknown as EngineStatus;
  #index = 0;

  step(input: Parameters<Engine<string, Uint8Array>['step']>[0]): Effects<string, Uint8Array> {
    if (input.kind === 'read')
      return { ...nothingHappens, committed: [], reads: [{ id: input.id, index: toLogIndex(this.#index) }] };
    if (input.kind !== 'message') return { ...nothingHappens, committed: [] };
    this.#index += 1;
    return { ...nothingHappens, committed: [{ index: toLogIndex(this.#index), term: 1, checksum: 0, payload: noop }] };
  }
  baseline = () => [];
  invariants(): void {}
  clone = () => this;
}

const scripted: EngineKind<string, Uint8Array> = {
  name: 'raft',
  create: () => new ScriptedLeader(),
  encodeMessage: toUtf8,
  decodeMessage: () => 'one more is committed',
  encodeRecord: (record) => record,
  decodeRecord: (bytes) => bytes,
  indexOfRecord: () => undefined,
};

/** @param reset of the state machine */
async function leader(reset: () => void = () => {}) {
  const world = testWorld(1);
  const { env } = world.node('m1');
  const failures: CairnError[] = [];
  let applied = 0;
  const opening = openFileMap(env, 'store').then((map) =>
    Replica.open<string, Uint8Array>({
      env,
      kind: scripted,
      config: {
        ...{ id: self, bootstrap: members, epoch: toEpoch(1), seed: 1, crc32: env.crc32 },
        ...{ timing: defaultTiming, limits: defaultLimits },
      },
      directory: 'log',
      openLog: openWriteAheadLog,
      store: new OverlayStore(map),
      stateMachine: { apply: (command) => command, reset },
      transport: { send: () => {}, sendSnapshotPart: async () => 0 },
      onLeadership: () => {},
      onApplied: () => {
        applied += 1;
      },
      onFailure: (error) => {
        failures.push(error);
      },
    }),
  );
  const replica = await world.settle(opening);
  const commit = (count: number) => {
    for (let i = 0; i < count; i++) replica.receive(peer, new Uint8Array(1));
  };
  return { world, replica, commit, failures, timesApplied: () => applied };
}

/** The state at `index` in two parts. */
async function stateAt(index: number): Promise<readonly (readonly [SnapshotPart, Uint8Array])[]> {
  const store = new OverlayStore(new MemoryMap());
  const point = { index: toLogIndex(index), term: 1, checksum: 0, members };
  savePoint(store, point);
  store.applied(index);
  const frozen = await store.freeze();
  const all: (readonly [string, Uint8Array])[] = [];
  for await (const pairs of frozen.batches(1 << 20)) all.push(...pairs);
  const head = { term: 1, index, point: encodePoint(point) };
  const [bytes, end] = [encodePairs(all), encodePairs([])];
  const checksum = crc32(bytes, 0);
  return [
    [{ ...head, part: 0, last: false, checksum }, bytes],
    [{ ...head, part: 1, last: true, checksum: crc32(end, checksum) }, end],
  ];
}

describe('a replica that leads while a state arrives', () => {
  it('answers the reads that wait for what comes in with the state, and tells that more is applied', async () => {
    const { world, replica, commit, timesApplied } = await leader();
    const [first, last] = await stateAt(2);
    await world.settle(replica.receiveSnapshotPart(peer, ...first!));
    const installing = replica.receiveSnapshotPart(peer, ...last!);
    commit(2);
    const read = replica.barrier();
    expect(replica.appliedIndex).toBe(0);
    await world.settle(installing);
    await world.settle(read, 1000);
    expect([replica.appliedIndex, timesApplied()]).toEqual([2, 1]);
  });

  it('stops, and says why, when that is of a format which it does not read', async () => {
    let resets = 0;
    const { world, replica, failures } = await leader(() => {
      if (resets++ > 0) throw new CairnError('WRONG_FORMAT', 'a later program wrote it; run that');
    });
    for (const part of await stateAt(2)) await world.settle(replica.receiveSnapshotPart(peer, ...part));
    expect(failures).toMatchObject([{ code: 'WRONG_FORMAT' }]);
    // another master can answer: who asks here is to go there
    const refused = { code: 'NOT_LEADER', message: expect.stringContaining('a later program wrote it') };
    await expect(replica.barrier()).rejects.toMatchObject(refused);
    await expect(replica.executeInternal(new Uint8Array(1))).rejects.toMatchObject(refused);
  });

  it('does not wait for the rest of it once it has the entries themselves', async () => {
    const { world, replica, commit } = await leader();
    const [first] = await stateAt(2);
    await world.settle(replica.receiveSnapshotPart(peer, ...first!));
    commit(1);
    const read = replica.barrier();
    await world.run(100);
    expect(replica.appliedIndex).toBe(0);
    commit(1);
    await world.settle(read, 1000);
    expect(replica.appliedIndex).toBe(2);
  });
});
