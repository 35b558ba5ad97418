/**
 * The next change that brings the configuration of the group in line with the roster. One at a time: who does not belong leaves, who does
 * is taken in to listen, and votes once it has caught up.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { Members } from '../../rsm/replica.ts';

export interface PlanView {
  /** Of the engine, the one in force. */
  readonly members: Members;
  /** Who belongs to the group, by decision. */
  readonly wanted: ReadonlySet<NodeId>;
  readonly self: NodeId;
  /** It lacks so little that it can vote. */
  hasCaughtUp(node: NodeId): boolean;
  /** It answers. */
  isReachable(node: NodeId): boolean;
  /** When it last was to vote and came to nothing; 0 if it never was. */
  failedAt(node: NodeId): number;
}

export type Step =
  | { readonly kind: 'inLine' }
  /** Nothing can be done just now. */
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'change'; readonly members: Members }
  /** This leader does not belong to the group any more. */
  | { readonly kind: 'handOver'; readonly to: NodeId };

export function nextStep(view: PlanView): Step {
  const { members, wanted, self } = view;
  if (members.votersNext !== undefined) return { kind: 'wait', why: 'a change is under way' };
  if (!wanted.has(self)) return handOver(view);
  const belongs = (node: NodeId) => wanted.has(node);
  const voters = members.voters.filter(belongs);
  const kept = members.nonVoters.filter(belongs);
  const known = new Set([...members.voters, ...members.nonVoters]);
  const fresh = [...wanted].filter((node) => !known.has(node));
  const isClean = voters.length === members.voters.length && kept.length === members.nonVoters.length;
  if (!isClean || fresh.length > 0) return guarded(view, { voters, nonVoters: sorted([...kept, ...fresh]) });
  const ready = firstReady(view, kept);
  if (ready !== undefined)
    return guarded(view, { voters: sorted([...voters, ready]), nonVoters: kept.filter((node) => node !== ready) });
  return kept.length === 0 ? { kind: 'inLine' } : { kind: 'wait', why: `master ${kept[0]} is catching up` };
}

/** One that answers and yet gets no further does not hold up the others. */
function firstReady(view: PlanView, kept: readonly NodeId[]): NodeId | undefined {
  const ready = kept.filter((node) => view.hasCaughtUp(node) && view.isReachable(node));
  return ready.sort((a, b) => view.failedAt(a) - view.failedAt(b))[0];
}

/** Nothing is changed to a group that could not decide. */
function guarded(view: PlanView, members: Members): Step {
  const why = quorumLost(members.voters, view);
  return why === undefined ? { kind: 'change', members } : { kind: 'wait', why };
}

/** Why these voters could not decide anything just now; undefined: they could. */
export function quorumLost(
  voters: readonly NodeId[],
  { self, isReachable }: Pick<PlanView, 'self' | 'isReachable'>,
): string | undefined {
  const reachable = voters.filter((node) => node === self || isReachable(node));
  const needed = Math.floor(voters.length / 2) + 1;
  if (voters.length > 0 && reachable.length >= needed) return undefined;
  return `of ${voters.length} voters only ${reachable.length} would answer, ${needed} are needed`;
}

function handOver(view: PlanView): Step {
  const { members, wanted } = view;
  const heir = members.voters.find((node) => wanted.has(node) && view.hasCaughtUp(node) && view.isReachable(node));
  if (heir !== undefined) return { kind: 'handOver', to: heir };
  return { kind: 'wait', why: 'this leader is to leave, and nobody else can lead' };
}

function sorted(nodes: readonly NodeId[]): readonly NodeId[] {
  return [...nodes].sort((a, b) => a - b);
}
