/**
 * Asks whoever still believes that it leads for a fresh read, at the moment when another has committed something. No client is as quick: a
 * read that is granted on the strength of a lease or a quorum that is gone shows at once (rule 'fresh read').
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { EngineStatus, ReadLevel } from '../../../core/consensus/engine.ts';
import type { Request } from './requests.ts';

interface Suspect {
  readonly id: NodeId;
  /** Undefined while it is down. */
  readonly status: EngineStatus | undefined;
  ask(request: Request, answer: () => void): void;
}

export class Doubter {
  readonly #nodes: ReadonlyMap<NodeId, Suspect>;
  readonly #levels: readonly ReadLevel[];
  /** What everybody had committed when this was last looked at. */
  #highest = 0;

  constructor(nodes: ReadonlyMap<NodeId, Suspect>, offersLeases: boolean) {
    this.#nodes = nodes;
    this.#levels = offersLeases ? ['lease', 'linearizable'] : ['linearizable'];
  }

  /** `by` has committed entries; everybody has committed up to `highest`. */
  committed(by: NodeId, highest: number): void {
    if (highest === this.#highest) return;
    this.#highest = highest;
    for (const node of this.#nodes.values()) {
      if (node.id === by || node.status?.role !== 'leader') continue;
      for (const level of this.#levels) node.ask({ kind: 'read', key: 0, level }, forget);
    }
  }
}

function forget(): void {}
