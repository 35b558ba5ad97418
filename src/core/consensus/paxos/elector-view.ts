/** What Multi-Paxos's elector may see: the state as it is now. */
import type { NodeId } from '../../base/brand.ts';
import { diskStandsStill } from '../durability.ts';
import type { ElectorView, Standing } from '../elector/elector.ts';
import { isVoter } from '../quorums.ts';
import type { PaxosState } from './state.ts';

/** Anybody can be elected: what it lacks it learns. */
export const equalStanding: Standing = [0, 0];

export class PaxosView implements ElectorView {
  readonly #state: PaxosState;

  constructor(state: PaxosState) {
    this.#state = state;
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
  get quorums() {
    return this.#state.configuration.electorate;
  }
  get eligible() {
    return isVoter(this.members, this.id);
  }
  get timing() {
    return this.#state.config.timing;
  }
  get term() {
    return termOf(this.#state);
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
    return equalStanding;
  }
  heardAt(peer: NodeId): number {
    return this.#state.leading?.progress.get(peer)?.heardAt ?? 0;
  }
}

/** The round of the highest ballot seen. */
export function termOf({ promised, roundSeen }: PaxosState): number {
  return Math.max(promised.round, roundSeen);
}

/** The state, with a view that is of no other. */
export function withView(parts: Omit<PaxosState, 'view'>): PaxosState {
  const s = parts as PaxosState & { view: ElectorView };
  s.view = new PaxosView(s);
  return s;
}
