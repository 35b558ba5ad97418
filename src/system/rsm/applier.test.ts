import { expect, it } from 'vitest';
import { type Entry, toLogIndex } from '../../core/consensus/engine.ts';
import { MemoryMap } from '../storage/memory-map.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { Applier } from './applier.ts';
import { encodeBatch } from './batch.ts';

function batchAt(index: number, time: number): Entry {
  const data = encodeBatch({ time, commands: [{ client: 0, sequence: 0, ackBelow: 0, command: Uint8Array.of(1) }] });
  return {
    index: toLogIndex(index),
    term: 1,
    checksum: 0,
    payload: { kind: 'proposal', session: 1, sequence: index, data },
  };
}

const nobody = { voters: [], nonVoters: [] };
const quiet = { applied: () => {}, skipped: () => {} };

/** Applies batches of these times, the first with this index; what the state machine was told of them. */
function timesOf(store: OverlayStore, firstIndex: number, times: readonly number[]): number[] {
  const told: number[] = [];
  const machine = {
    reset: () => {},
    apply: (_: Uint8Array, { time }: { time: number }) => {
      told.push(time);
      return Uint8Array.of();
    },
  };
  const applier = new Applier(store, machine, nobody, quiet);
  applier.queue(times.map((time, n) => batchAt(firstIndex + n, time)));
  applier.applySlice();
  applier.save();
  return told;
}

it('time never goes back, also where the state was taken from the store and a leader has a slow clock', () => {
  const store = new OverlayStore(new MemoryMap());
  expect(timesOf(store, 1, [5000, 4000, 6000])).toEqual([5000, 5000, 6000]);
  expect(timesOf(store, 4, [1000, 7000])).toEqual([6000, 7000]);
});

it('a batch that waits while the state of a peer that has it takes its place is reported as skipped', () => {
  const told: string[] = [];
  const listener = {
    applied: (_: number, sequence: number) => void told.push(`applied ${sequence}`),
    skipped: (_: number, sequence: number) => void told.push(`skipped ${sequence}`),
  };
  const ahead = new OverlayStore(new MemoryMap());
  timesOf(ahead, 1, [5000, 5000, 5000]);
  const applier = new Applier(ahead, { reset: () => {}, apply: () => Uint8Array.of() }, nobody, listener);
  applier.queue([2, 3, 4, 5].map((index) => batchAt(index, 5000)));
  applier.reload();
  applier.applySlice();
  expect(told).toEqual(['skipped 2', 'skipped 3', 'applied 4', 'applied 5']);
});
