/** What the host and operators see of a node: a picture of one moment, except for `lagPerPeer`, which is made when it is looked at. */
import type { NodeId } from '../../base/brand.ts';
import type { EngineStatus } from '../engine.ts';
import { termOf } from './elector-view.ts';
import type { Progress } from './progress.ts';
import { membersAreSettled } from './reconfiguration.ts';
import type { Leading, PaxosState } from './state.ts';

export class PaxosStatus implements EngineStatus {
  readonly engine = 'paxos';
  readonly id;
  readonly role;
  readonly term;
  readonly leader;
  readonly established;
  readonly epoch;
  readonly firstIndex;
  readonly lastIndex;
  readonly commitIndex;
  readonly appliedIndex;
  readonly members;
  readonly #state: PaxosState;

  constructor(s: PaxosState) {
    this.#state = s;
    this.id = s.id;
    this.role = s.role;
    this.term = termOf(s);
    this.leader = s.leader;
    this.established = s.leading?.established ?? false;
    this.epoch = s.config.epoch;
    this.firstIndex = s.log.firstIndex;
    this.lastIndex = s.log.lastIndex;
    this.commitIndex = s.log.chosenIndex;
    this.appliedIndex = s.appliedIndex;
    this.members = s.log.members;
  }

  get membersSettled(): boolean {
    return membersAreSettled(this.#state);
  }

  get lagPerPeer(): ReadonlyMap<NodeId, number> {
    const { leading, log } = this.#state;
    const lag = new Map<NodeId, number>();
    for (const [id, p] of leading?.progress ?? []) lag.set(id, (p.lacks ?? log.chosenIndex) + openTo(leading!, p));
    return lag;
  }
}

/** How many open slots a peer has not voted in. */
function openTo({ nextSlot }: Leading, { matchIndex }: Progress): number {
  return Math.max(0, nextSlot - 1 - matchIndex);
}
