/** What Raft's elector may see: the state as it is now. */
import type { NodeId } from '../../base/brand.ts';
import { diskStandsStill } from '../durability.ts';
import type { ElectorView, Standing } from '../elector/elector.ts';
import { isVoter, majoritiesOf, type QuorumSystem } from '../quorums.ts';
import type { RaftState } from './state.ts';

export class RaftView implements ElectorView {
  readonly #state: RaftState;
  readonly quorums: QuorumSystem;

  constructor(state: RaftState) {
    this.#state = state;
    this.quorums = majoritiesOf(() => state.log.members);
  }

  get id() {
    return this.#state.id;
  }
  get now() {
    return this.#state.now;
  }
  get members() {
    return this.#state.log.members;
  }
  get eligible() {
    const { log, id, commitIndex } = this.#state;
    return isVoter(log.members, id) || (log.membersIndex > commitIndex && isVoter(log.membersBefore, id));
  }
  get timing() {
    return this.#state.config.timing;
  }
  get term() {
    return this.#state.currentTerm;
  }
  get leader() {
    return this.#state.leader;
  }
  get leading() {
    return this.#state.leading !== undefined;
  }
  get diskStalled() {
    const { durability, now, config } = this.#state;
    return diskStandsStill(durability, now, config.timing.electionTimeoutMaxMs);
  }
  get standing(): Standing {
    const { lastTerm, lastIndex } = this.#state.log;
    return [lastTerm, lastIndex];
  }
  heardAt(peer: NodeId): number {
    return this.#state.leading?.progress.get(peer)?.heardAt ?? 0;
  }
}

/** The state, with a view that is of no other. */
export function withView(parts: Omit<RaftState, 'view'>): RaftState {
  const s = parts as RaftState & { view: ElectorView };
  s.view = new RaftView(s);
  return s;
}
