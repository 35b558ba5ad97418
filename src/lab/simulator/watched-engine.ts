/** An engine under watch: after each step its invariants are called, and what it commits is compared with what any node ever committed. */
import { assert } from '../../core/base/assert.ts';
import type { Effects, Engine, EngineKind, EngineStatus } from '../../core/consensus/index.ts';

interface Committed {
  readonly term: number;
  readonly checksum: number;
}

/** Of one group: what is committed at an index is the same for every node for ever, and a term has one leader. */
export class CommitWatch {
  readonly #entries = new Map<number, Committed>();
  readonly #leaders = new Map<number, number>();
  #last = 0;

  /** The highest index that any node has committed. */
  get lastIndex(): number {
    return this.#last;
  }

  stepped(status: EngineStatus, effects: Effects<unknown, unknown>): void {
    const { id, role, term } = status;
    if (role === 'leader') {
      const known = this.#leaders.get(term);
      assert(known === undefined || known === id, 'a term has one leader', { term, leader: id, known: known ?? 0 });
      this.#leaders.set(term, id);
    }
    for (const { index, term: of, checksum } of effects.committed) {
      const known = this.#entries.get(index);
      const isSame = known === undefined || (known.term === of && known.checksum === checksum);
      assert(isSame, 'what is committed never changes', { index, node: id, term: of, knownTerm: known?.term ?? 0 });
      this.#entries.set(index, { term: of, checksum });
      this.#last = Math.max(this.#last, index);
    }
  }
}

export function watchedKind<M, R>(kind: EngineKind<M, R>, watch: CommitWatch): EngineKind<M, R> {
  return { ...kind, create: (config, restored) => watchedEngine(kind.create(config, restored), watch) };
}

function watchedEngine<M, R>(engine: Engine<M, R>, watch: CommitWatch): Engine<M, R> {
  engine.invariants();
  return {
    step(input) {
      const before = engine.status.commitIndex;
      const effects = engine.step(input);
      engine.invariants();
      assert(engine.status.commitIndex >= before, 'commit only grows', { before, after: engine.status.commitIndex });
      watch.stepped(engine.status, effects);
      return effects;
    },
    get status() {
      return engine.status;
    },
    get nextTickAt() {
      return engine.nextTickAt;
    },
    baseline: () => engine.baseline(),
    invariants: () => engine.invariants(),
    clone: () => watchedEngine(engine.clone(), watch),
  };
}
