import { describe, expect, it } from 'vitest';
import { toNodeId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { ControlId, ControlRequest, DropReason } from '../../core/consensus/engine.ts';
import { Controls, controlError, controlsWaitingMax } from './controls.ts';

const transfer: ControlRequest = { kind: 'transferLeadership', to: toNodeId(2) };

describe('control requests', () => {
  it('end as the engine says: done, or dropped with the reason', async () => {
    const controls = new Controls();
    const ids: ControlId[] = [];
    const first = controls.begin(transfer, (id) => ids.push(id));
    const second = controls.begin(transfer, (id) => ids.push(id));
    controls.dropped({ kind: 'control', id: ids[1]!, request: transfer, reason: 'changeInProgress' });
    controls.completed(ids[0]!);
    await expect(first).resolves.toBeUndefined();
    await expect(second).rejects.toMatchObject({ code: 'BUSY' });
  });

  it('an answer from within the asking counts', async () => {
    const controls = new Controls();
    await expect(controls.begin(transfer, (id) => controls.completed(id))).resolves.toBeUndefined();
  });

  it('have an unknown outcome when the host stops', async () => {
    const controls = new Controls();
    const asked = controls.begin(transfer, () => {});
    controls.stop(new CairnError('DISK_FAILED', 'the disk failed'));
    await expect(asked).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
  });

  it('are refused beyond the bound', async () => {
    const controls = new Controls();
    const asked = Array.from({ length: controlsWaitingMax + 1 }, () => controls.begin(transfer, () => {}));
    await expect(asked.pop()).rejects.toMatchObject({ code: 'BUSY' });
    controls.stop(new CairnError('ABORTED', 'over'));
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
  });

  it.each<[DropReason, string]>([
    ['notLeader', 'NOT_LEADER'],
    ['steppedDown', 'UNKNOWN_OUTCOME'],
    ['changeInProgress', 'BUSY'],
    ['membersInvalid', 'INVALID_ARGUMENT'],
    ['targetUnavailable', 'UNAVAILABLE'],
    ['notSupported', 'NOT_SUPPORTED'],
  ])('dropped as %s are %s, and say what to do', (reason, code) => {
    const error = controlError(transfer, reason);
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(/leadership to 2: .*; /)]);
  });

  it('of which a newcomer does not catch up say so, and not that nobody took over', () => {
    const request: ControlRequest = { kind: 'changeMembers', members: { voters: [toNodeId(1)], nonVoters: [] } };
    const { code, message } = controlError(request, 'targetUnavailable');
    expect([code, message]).toEqual(['UNAVAILABLE', expect.stringMatching(/changing the members: .*catch up.*; /)]);
  });
});
