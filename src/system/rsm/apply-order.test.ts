import { describe, expect, it } from 'vitest';
import { type Millis, toNodeId } from '../../core/base/brand.ts';
import { toUtf8 } from '../../core/base/bytes.ts';
import {
  defaultLimits,
  defaultTiming,
  type Effects,
  type Engine,
  type EngineKind,
  type EngineStatus,
  type Entry,
  type IoId,
  toEpoch,
  toLogIndex,
} from '../../core/consensus/engine.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { openFileMap } from '../storage/file-map.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { openWriteAheadLog } from '../storage/wal/open-write-ahead-log.ts';
import { encodeBatch } from './batch.ts';
import { Replica } from './replica.ts';

const nobody = { voters: [toNodeId(1), toNodeId(2)], nonVoters: [] };
const nothingHappens = { send: [], sendAfter: [], committed: [], reads: [], dropped: [], completed: [], snapshots: [] };

/** What a follower is told: one entry more is committed, and perhaps there is something to be written. */
type Told = 'commits' | 'commits and writes';

/** A follower of few words: what it is told happens. */
class ScriptedFollower implements Engine<Told, Uint8Array> {
  readonly nextTickAt = 1e9 as Millis;
  readonly status = { role: 'follower', term: 1, established: false, leader: undefined } as unknown as EngineStatus;
  #index = 0;
  #io = 0;

  step(input: Parameters<Engine<Told, Uint8Array>['step']>[0]): Effects<Told, Uint8Array> {
    if (input.kind !== 'message') return { ...nothingHappens, trace: [] };
    const committed = [entryAt(++this.#index)];
    if (input.message === 'commits') return { ...nothingHappens, committed, trace: [] };
    const io = ++this.#io as IoId;
    return { ...nothingHappens, committed, persist: { io, records: [toUtf8('record')], mustSync: true }, trace: [] };
  }
  baseline = () => [];
  invariants(): void {}
  clone = () => this;
}

function entryAt(index: number): Entry {
  const commands = [{ client: 0, sequence: 0, ackBelow: 0, command: toUtf8(String(index)) }];
  const data = encodeBatch({ time: 1, commands });
  return {
    index: toLogIndex(index),
    term: 1,
    checksum: 0,
    payload: { kind: 'proposal', session: 9, sequence: index, data },
  };
}

const scripted: EngineKind<Told, Uint8Array> = {
  name: 'raft',
  create: () => new ScriptedFollower(),
  encodeMessage: toUtf8,
  decodeMessage: (bytes) => (bytes.length > 'commits'.length ? 'commits and writes' : 'commits'),
  encodeRecord: (record) => record,
  decodeRecord: (bytes) => bytes,
  indexOfRecord: () => undefined,
};

async function follower() {
  const world = testWorld(1);
  const { env } = world.node('m1');
  const opening = openFileMap(env, 'store').then((map) =>
    Replica.open<Told, Uint8Array>({
      env,
      kind: scripted,
      config: {
        id: toNodeId(1),
        bootstrap: nobody,
        epoch: toEpoch(1),
        seed: 1,
        crc32: env.crc32,
        timing: defaultTiming,
        limits: defaultLimits,
      },
      directory: 'log',
      openLog: openWriteAheadLog,
      store: new OverlayStore(map),
      stateMachine: { apply: (command) => command, reset: () => {} },
      transport: { send: () => {}, sendSnapshotPart: async () => 0 },
      onLeadership: () => {},
      onFailure: (error) => {
        throw error;
      },
    }),
  );
  const replica = await world.settle(opening);
  const hear = (told: Told) => replica.receive(toNodeId(2), scripted.encodeMessage(told));
  return { world, replica, hear };
}

describe('what is committed and the state machine', () => {
  it('is applied at once if nothing is to be written', async () => {
    const { replica, hear } = await follower();
    hear('commits');
    expect(replica.appliedIndex).toBe(1);
  });

  it('is applied after the turn in which something is to be written: whoever waits for the write does not wait for that', async () => {
    const { world, replica, hear } = await follower();
    hear('commits and writes');
    expect(replica.appliedIndex).toBe(0);
    await world.run(1);
    expect(replica.appliedIndex).toBe(1);
  });

  it('is put off for one step only, however many come in one turn', async () => {
    const { world, replica, hear } = await follower();
    hear('commits and writes');
    hear('commits and writes');
    expect(replica.appliedIndex).toBe(2);
    await world.run(1);
    hear('commits and writes');
    expect(replica.appliedIndex).toBe(2);
  });
});
