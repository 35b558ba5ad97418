/** Control requests of this host that its engine has not answered yet: each ends as done, refused with a reason, or unknown. */
import { unreachable } from '../../core/base/assert.ts';
import { CairnError } from '../../core/base/errors.ts';
import {
  type ControlId,
  type ControlRequest,
  type Dropped,
  type DropReason,
  toControlId,
} from '../../core/consensus/engine.ts';

/** An engine carries out one at a time and drops the others: more than a few is a mistake. */
export const controlsWaitingMax = 64;

interface Waiter {
  readonly request: ControlRequest;
  readonly resolve: () => void;
  readonly reject: (error: CairnError) => void;
}

export class Controls {
  readonly #waiting = new Map<ControlId, Waiter>();
  #next = 1;

  /** `ask` gives the request to the engine, under the id. @throws CairnError BUSY, what the engine dropped it for */
  begin(request: ControlRequest, ask: (id: ControlId) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= controlsWaitingMax) {
        reject(new CairnError('BUSY', `${controlsWaitingMax} changes of the group wait already; try again later`));
        return;
      }
      const id = toControlId(this.#next++);
      this.#waiting.set(id, { request, resolve, reject });
      ask(id);
    });
  }

  completed(id: ControlId): void {
    this.#take(id)?.resolve();
  }

  dropped({ id, request, reason }: Extract<Dropped, { readonly kind: 'control' }>): void {
    this.#take(id)?.reject(controlError(request, reason));
  }

  /** What was asked for may still happen, under another leader. */
  stop(cause: CairnError): void {
    const error = new CairnError('UNKNOWN_OUTCOME', 'this master stopped; ask another', { cause });
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(error);
  }

  #take(id: ControlId): Waiter | undefined {
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiter;
  }
}

const unavailable: Readonly<Record<ControlRequest['kind'], string>> = {
  transferLeadership: 'it did not take over in time; it must be a voter that runs and is not far behind',
  changeMembers:
    'who was to vote does not catch up, and is left out; see that it runs and that its disk and its links keep up',
  switchEngine: 'whoever was to run it is not there; see that all run',
};

/** What became of the request, and what to do next. */
export function controlError(request: ControlRequest, reason: DropReason): CairnError {
  const what = describe(request);
  switch (reason) {
    case 'notLeader':
      return new CairnError('NOT_LEADER', `${what}: this master does not lead; ask the leader`);
    case 'steppedDown':
      return new CairnError(
        'UNKNOWN_OUTCOME',
        `${what}: the leader stepped down before it was done; look at the members, then ask again`,
      );
    case 'changeInProgress':
      return new CairnError('BUSY', `${what}: another change of the group is under way; ask again when it is done`);
    case 'membersInvalid':
      return new CairnError('INVALID_ARGUMENT', `${what}: the group cannot have these members; look at its members`);
    case 'targetUnavailable':
      return new CairnError('UNAVAILABLE', `${what}: ${unavailable[request.kind]}`);
    case 'noQuorum':
      return new CairnError('UNAVAILABLE', `${what}: no quorum answers; look which masters run`);
    case 'notSupported':
    case 'readLevelNotOffered':
      return new CairnError('NOT_SUPPORTED', `${what}: this engine does not offer it; leave it as it is`);
    case 'queueFull':
    case 'tooLarge':
      return new CairnError('BUSY', `${what}: too much waits to be committed; try again later`);
    default:
      return unreachable(reason);
  }
}

function describe(request: ControlRequest): string {
  switch (request.kind) {
    case 'transferLeadership':
      return `handing leadership to ${request.to}`;
    case 'changeMembers':
      return 'changing the members';
    case 'switchEngine':
      return `switching to ${request.engine}`;
    default:
      return unreachable(request);
  }
}
