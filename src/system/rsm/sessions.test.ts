import { describe, expect, it } from 'vitest';
import { Sessions, sessionIdleMs, sessionsKept } from './sessions.ts';

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
});
