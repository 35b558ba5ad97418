/** What the host and operators see of a node: a picture of one moment, except for `lagPerPeer`, which is made when it is looked at. */
import type { NodeId } from '../../base/brand.ts';
import type { EngineStatus } from '../engine.ts';
import { membersOf, type RaftState } from './state.ts';

export class RaftStatus implements EngineStatus {
  readonly engine = 'raft';
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
  readonly membersSettled;
  readonly #state: RaftState;

  constructor(s: RaftState) {
    this.#state = s;
    this.id = s.id;
    this.role = s.role;
    this.term = s.currentTerm;
    this.leader = s.leader;
    this.established = s.leading?.established ?? false;
    this.epoch = s.config.epoch;
    this.firstIndex = s.log.firstIndex;
    this.lastIndex = s.log.lastIndex;
    this.commitIndex = s.commitIndex;
    this.appliedIndex = s.appliedIndex;
    this.members = membersOf(s);
    this.membersSettled = this.members.votersNext === undefined && s.log.membersIndex <= s.commitIndex;
  }

  get lagPerPeer(): ReadonlyMap<NodeId, number> {
    const { leading, log } = this.#state;
    const lag = new Map<NodeId, number>();
    for (const [id, p] of leading?.progress ?? []) lag.set(id, log.lastIndex - p.matchIndex);
    return lag;
  }
}
