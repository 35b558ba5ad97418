import { describe, expect, it } from 'vitest';
import { MemoryMap } from '../storage/memory-map.ts';
import { OverlayStore } from '../storage/overlay-store.ts';
import { Sessions, sessionBytesMax, sessionIdleMs, sessionsKept, sessionWindowMax } from './sessions.ts';

const result = new Uint8Array([1]);

/** A command of this client takes its turn; its result is kept if it is the first time. */
function run(sessions: Sessions, client: number, time: number): string {
  const command = { client, sequence: 1, ackBelow: 1, command: new Uint8Array([7]) };
  const { kind } = sessions.admit(command, time, client);
  if (kind === 'fresh') sessions.record(command, result);
  sessions.expire(time);
  return kind;
}

describe('the session table', () => {
  it('knows a client that tries again after the time of day has jumped by hours', () => {
    const sessions = new Sessions();
    expect(run(sessions, 7, 1_000)).toBe('fresh');
    expect(run(sessions, 8, 1_000 + 3 * sessionIdleMs)).toBe('fresh');
    expect(run(sessions, 7, 1_000 + 3 * sessionIdleMs)).toBe('repeated');
  });

  it('ends those that were idle for long when more than enough others came after them', () => {
    const sessions = new Sessions();
    for (let client = 1; client <= sessionsKept; client++) run(sessions, client, 1_000);
    run(sessions, sessionsKept + 1, 1_000 + sessionIdleMs - 1);
    expect(sessions.has(1)).toBe(true);
    run(sessions, sessionsKept + 2, 1_000 + sessionIdleMs);
    expect(sessions.has(1)).toBe(false);
    expect(sessions.has(2)).toBe(false);
    expect(sessions.has(3)).toBe(true);
  });

  it('keeps no more of one client than one value of the store holds, however long its results are', () => {
    const sessions = new Sessions();
    const store = new OverlayStore(new MemoryMap());
    const command = (sequence: number, ackBelow: number) => ({ client: 7, sequence, ackBelow, command: result });
    const kinds = new Set<string>();
    const runUpTo = (last: number, ackBelow: number) => {
      for (let sequence = ackBelow; sequence <= last; sequence++) {
        const { kind } = sessions.admit(command(sequence, ackBelow), 1_000, sequence);
        kinds.add(kind);
        if (kind === 'fresh') sessions.record(command(sequence, ackBelow), new Uint8Array(1_500));
      }
    };
    runUpTo(sessionWindowMax, 1);
    expect([...kinds]).toEqual(['fresh', 'tooFarAhead']);
    sessions.save(store);
    const again = new Sessions();
    again.load(store);
    for (const table of [sessions, again]) {
      expect(table.admit(command(1, 1), 1_000, 5_000).kind).toBe('repeated');
      expect(table.admit(command(sessionWindowMax, 1), 1_000, 5_001).kind).toBe('tooFarAhead');
      expect(table.admit(command(sessionWindowMax, 300), 1_000, 5_002).kind).toBe('fresh');
    }
    expect(sessionBytesMax).toBeGreaterThan(300 * 1_500);
  });
});
