/** A value that Multi-Paxos decides on, told by who proposed it first: its checksum changes with the places before it. */
import type { Entry } from '../../../core/consensus/engine.ts';
import { describeMembers } from './members-of-group.ts';

/** Who proposed it first, and what it is, are the same. */
export function isSameValue(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  if (a.term !== b.term) return false;
  const [one, other] = [a.payload, b.payload];
  if (one === other) return true;
  if (one.kind === 'proposal')
    return other.kind === 'proposal' && one.session === other.session && one.sequence === other.sequence;
  if (one.kind === 'noop') return other.kind === 'noop';
  return other.kind === 'members' && describeMembers(one.members) === describeMembers(other.members);
}

/** For people. */
export function nameOfValue({ term, payload }: Entry): string {
  switch (payload.kind) {
    case 'noop':
      return `no-op of ${term}`;
    case 'proposal':
      return `${payload.session}.${payload.sequence} of ${term}`;
    case 'members':
      return `members ${describeMembers(payload.members)} of ${term}`;
  }
}
