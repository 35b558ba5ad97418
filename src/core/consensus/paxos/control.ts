/** Requests of operators to a leader; see ControlRequest. */
import { unreachable } from '../../base/assert.ts';
import type { Input } from '../engine.ts';
import type { PaxosMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { changeMembers } from './reconfiguration.ts';
import type { PaxosState } from './state.ts';
import { transferLeadership } from './transfer.ts';

export function control(s: PaxosState, out: Outbox, input: Extract<Input<PaxosMessage>, { kind: 'control' }>): void {
  const { id, request } = input;
  switch (request.kind) {
    case 'transferLeadership':
      transferLeadership(s, out, id, request);
      break;
    case 'changeMembers':
      changeMembers(s, out, id, request);
      break;
    case 'switchEngine':
      out.drop({ kind: 'control', id, request, reason: 'notSupported' });
      break;
    default:
      unreachable(request);
  }
}
