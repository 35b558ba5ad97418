/**
 * Operating the group of masters. What is asked for goes on by itself once it is decided, whatever becomes of the asker; asking again is
 * harmless and tells how far it is.
 */
import type { Address } from '../../core/base/brand.ts';
import type { AdditionState } from '../../core/protocol/membership.ts';
import type { Masters } from './masters.ts';

/** The leader answers within a second; a transfer takes an election time-out at most. */
const attemptMs = 3000;

export class MasterGroup {
  readonly #masters: Masters;

  constructor(masters: Masters) {
    this.#masters = masters;
  }

  /** Resolves when the master leads. @throws CairnError NOT_FOUND, INVALID_ARGUMENT, ABORTED (it does not answer, or did not take over), NO_QUORUM */
  async transferLeadership(id: number): Promise<void> {
    await this.#masters.operate('transferLeadership', { id }, attemptMs);
  }

  /**
   * Takes the master that runs at the address into the group: to listen first, to vote once it has caught up.
   * @throws CairnError UNAVAILABLE (nobody is there), DUPLICATE_ID, CONFIG_INVALID, WRONG_CLUSTER, NOT_A_MEMBER, NO_QUORUM
   */
  add(address: Address): Promise<AdditionState> {
    return this.#masters.operate('addMaster', { address }, attemptMs);
  }

  /** True once the group is without the master. @throws CairnError NOT_FOUND, WOULD_LOSE_QUORUM, NO_QUORUM */
  async remove(id: number): Promise<boolean> {
    return (await this.#masters.operate('removeMaster', { id }, attemptMs)).done;
  }
}
