/** Becoming a follower: on a higher term, on a leader of our own term, or on losing touch with a quorum (§5.1, §5.2). */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import type { Outbox } from './outbox.ts';
import { dropReads } from './read-index.ts';
import type { Leading, RaftState } from './state.ts';
import type { Term } from './term.ts';

/** Within a term the vote stays as it was given: only a higher term clears it. */
export function becomeFollower(s: RaftState, out: Outbox, term: Term, leader: NodeId | undefined, why: string): void {
  assert(term >= s.currentTerm, 'currentTerm never falls', { term, currentTerm: s.currentTerm });
  if (term > s.currentTerm) {
    s.currentTerm = term;
    s.votedFor = undefined;
    out.recordHardState();
  }
  const { leading } = s;
  if (s.role !== 'follower') s.elector.restart(s.view);
  if (s.leader !== leader && leader !== undefined) out.trace('leader_followed', { term, leader });
  s.role = 'follower';
  s.leader = leader;
  s.leading = undefined;
  s.votes.clear();
  if (leading === undefined) return;
  out.trace('leader_stepped_down', { term, why });
  dropReads(leading, out);
  dropChange(leading, out);
  dropUncommitted(s, leading, out);
}

/** Whoever leads next may or may not know of it. */
function dropChange({ change }: Leading, out: Outbox): void {
  if (change !== undefined)
    out.drop({ kind: 'control', id: change.id, request: change.request, reason: 'steppedDown' });
}

/** What we proposed and have not seen committed may still commit under another leader: its outcome is unknown. */
function dropUncommitted(s: RaftState, leading: Leading, out: Outbox): void {
  for (let index = Math.max(s.commitIndex + 1, leading.termStart); index <= s.log.lastIndex; index++) {
    const { payload } = s.log.at(index)!;
    if (payload.kind !== 'proposal') continue;
    const { session, sequence } = payload;
    out.drop({ kind: 'proposal', session, sequence, reason: 'steppedDown' });
  }
}
