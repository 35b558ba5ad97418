/**
 * What must hold of a group after every step, whatever engine it runs. Knows the engines by their contract only; what needs knowledge of a
 * protocol is a `ProtocolWatch`.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { Effects, EngineStatus, Entry, LogIndex, SnapshotPoint } from '../../../core/consensus/engine.ts';
import type { EventHash } from '../../../platform/sim/event-hash.ts';
import { BrokenRule, hold } from './broken-rule.ts';
import type { CommittedLog } from './committed-log.ts';
import type { ProtocolWatch } from './protocol-watch.ts';

/** What was last seen of a node in its present life. */
interface Seen {
  term: number;
  commitIndex: LogIndex;
  appliedIndex: LogIndex;
}

export class GroupChecker<Message, LogRecord> {
  readonly log: CommittedLog;
  readonly watch: ProtocolWatch<Message, LogRecord>;
  readonly #hash: EventHash;
  readonly #seen = new Map<NodeId, Seen>();
  /** Index at which each command took its turn, by the value that it would write. */
  readonly #executed = new Map<number, number>();
  readonly #refused = new Set<number>();

  /** @param hash of the run: what is committed goes into it */
  constructor(log: CommittedLog, watch: ProtocolWatch<Message, LogRecord>, hash: EventHash) {
    this.log = log;
    this.watch = watch;
    this.#hash = hash;
  }

  started(status: EngineStatus, records: readonly LogRecord[], applied: SnapshotPoint | undefined): void {
    const { id, term, commitIndex, appliedIndex } = status;
    if (applied !== undefined) this.log.mustBeOn(id, applied);
    this.watch.restarted(id, records, applied, status);
    this.#seen.set(id, { term, commitIndex, appliedIndex });
  }

  stepped(status: EngineStatus, effects: Effects<Message, LogRecord>): void {
    this.#onlyForwards(status);
    for (const entry of effects.committed) this.#committed(status, entry);
    if (effects.persist !== undefined) this.watch.handedOut(status.id, effects.persist.records);
    this.watch.stepped(status);
  }

  #committed({ id, term }: EngineStatus, entry: Entry): void {
    if (!this.log.note(id, term, entry)) return;
    this.#hash.mix(entry.checksum);
    this.watch.committed(id, entry);
  }

  #onlyForwards({ id, term, commitIndex, appliedIndex }: EngineStatus): void {
    const seen = this.#seen.get(id)!;
    if (term < seen.term || commitIndex < seen.commitIndex || appliedIndex < seen.appliedIndex)
      throw new BrokenRule(
        'only forwards',
        `n${id} goes from term ${seen.term}, commit ${seen.commitIndex}, applied ${seen.appliedIndex} ` +
          `to ${term}, ${commitIndex}, ${appliedIndex}`,
      );
    seen.term = term;
    seen.commitIndex = commitIndex;
    seen.appliedIndex = appliedIndex;
  }

  /** A command takes its turn on some node. */
  executed(value: number, index: number): void {
    const known = this.#executed.get(value);
    if (known === undefined) this.#executed.set(value, index);
    hold(
      known === undefined || known === index,
      'exactly once',
      () => `command ${value} runs at ${known} and ${index}`,
    );
    hold(
      !this.#refused.has(value),
      'exactly once',
      () => `command ${value} runs at ${index}, and was refused for certain`,
    );
  }

  /** A client was told that nothing happened, and tried no more. */
  refused(value: number): void {
    this.#refused.add(value);
    const at = this.#executed.get(value);
    hold(at === undefined, 'exactly once', () => `command ${value} was refused for certain, and ran at ${at}`);
  }
}
