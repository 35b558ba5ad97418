/** What a group has committed, as its nodes first said it: for ever the same. The hash chain makes each checksum stand for all before it. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { Entry, Members, SnapshotPoint } from '../../../core/consensus/engine.ts';
import { BrokenRule, hold } from './broken-rule.ts';
import { describeMembers } from './members-of-group.ts';

interface Committed {
  readonly checksum: number;
  readonly term: number;
  /** The term of the first who committed it. */
  readonly inTerm: number;
  /** Of the results of its commands, by the first who applied it. */
  outcomes: number | undefined;
}

export class CommittedLog {
  readonly #entries: (Committed | undefined)[] = [];
  /** Configurations that were committed, with their index, ascending; the first is the group's own. */
  readonly configurations: { readonly index: number; readonly members: Members }[];
  #highest = 0;

  constructor(bootstrap: Members) {
    this.configurations = [{ index: 0, members: bootstrap }];
  }

  get highest(): number {
    return this.#highest;
  }

  checksumAt(index: number): number | undefined {
    return this.#entries[index]?.checksum;
  }

  /** Whether a disk must keep this entry. */
  mustKeep(index: number, checksum: number): boolean {
    return this.#entries[index]?.checksum === checksum;
  }

  /** The term in which somebody first committed this index. */
  termOfCommit(index: number): number {
    return this.#entries[index]!.inTerm;
  }

  /** @returns true when nobody has committed at this index before */
  note(node: NodeId, inTerm: number, { index, checksum, term, payload }: Entry): boolean {
    const known = this.#entries[index];
    if (known !== undefined) {
      if (known.checksum !== checksum || known.term !== term)
        throw new BrokenRule(
          'state-machine safety',
          `n${node} commits another entry at ${index} than was committed there: of term ${term}, not ${known.term}`,
        );
      return false;
    }
    hold(index === this.#highest + 1, 'state-machine safety', () => `n${node} commits ${index} after ${this.#highest}`);
    this.#entries[index] = { checksum, term, inTerm, outcomes: undefined };
    this.#highest = index;
    if (payload.kind === 'members') this.configurations.push({ index, members: payload.members });
    return true;
  }

  applied(node: NodeId, index: number, outcomes: number): void {
    const known = this.#entries[index];
    if (known === undefined) throw new BrokenRule('state-machine safety', `n${node} applied ${index}, not committed`);
    known.outcomes ??= outcomes;
    hold(known.outcomes === outcomes, 'state-machine safety', () => `n${node} has other results at ${index}`);
  }

  /** What stands for the log up to a point must be what was committed there: entry, term and the configuration in force. */
  mustBeOn(node: NodeId, { index, term, checksum, members }: SnapshotPoint): void {
    if (index === 0) return;
    const known = this.#entries[index];
    const isEntry = known?.checksum === checksum && known.term === term;
    hold(
      isEntry,
      'state-machine safety',
      () => `n${node} has a point at ${index}, term ${term}, that nobody committed`,
    );
    const inForce = this.configurations.findLast((configuration) => configuration.index <= index)!.members;
    hold(inForce === members || describeMembers(inForce) === describeMembers(members), 'state-machine safety', () => {
      return `n${node} has a point at ${index} with the members ${describeMembers(members)}; there were ${describeMembers(inForce)}`;
    });
  }

  /** A snapshot is of a state that the group went through. */
  installed(node: NodeId, { index, checksum }: SnapshotPoint): void {
    const isKnown = this.#entries[index]?.checksum === checksum;
    hold(isKnown, 'state-machine safety', () => `n${node} was given a snapshot of ${index} that nobody committed`);
  }
}
