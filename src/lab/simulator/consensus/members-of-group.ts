/** Arithmetic of configurations for the checks: written apart from the engines', which it judges. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { Members } from '../../../core/consensus/engine.ts';

/** Whether those for whom `has` holds are a quorum. */
export function isQuorum({ voters, votersNext }: Members, has: (node: NodeId) => boolean): boolean {
  return isMajority(voters, has) && (votersNext === undefined || isMajority(votersNext, has));
}

function isMajority(voters: readonly NodeId[], has: (node: NodeId) => boolean): boolean {
  return countOf(voters, has) * 2 > voters.length;
}

export function countOf(voters: readonly NodeId[], has: (node: NodeId) => boolean): number {
  let count = 0;
  for (const voter of voters) if (has(voter)) count += 1;
  return count;
}

export function isMember({ voters, votersNext, nonVoters }: Members, id: NodeId): boolean {
  return voters.includes(id) || votersNext?.includes(id) === true || nonVoters.includes(id);
}

/** Whether any quorum of one has a node in common with any of the other. */
export function quorumsMeet(a: Members, b: Members): boolean {
  const all = [...new Set([...everyVoter(a), ...everyVoter(b)])];
  for (let subset = 0; subset < 2 ** all.length; subset++) {
    const isIn = (node: NodeId) => (subset & (1 << all.indexOf(node))) !== 0;
    if (isQuorum(a, isIn) && isQuorum(b, (node) => !isIn(node))) return false;
  }
  return true;
}

export function everyVoter({ voters, votersNext }: Members): readonly NodeId[] {
  return votersNext === undefined ? voters : [...new Set([...voters, ...votersNext])];
}

export function describeMembers({ voters, votersNext, nonVoters }: Members): string {
  const next = votersNext === undefined ? '' : ` → ${votersNext.join(' ')}`;
  return `${voters.join(' ')}${next}${nonVoters.length === 0 ? '' : ` (non-voting ${nonVoters.join(' ')})`}`;
}
