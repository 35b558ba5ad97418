/** What an operator does to a group: asks whoever leads for other members, or for another leader. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { Members } from '../../../core/consensus/engine.ts';
import type { Group, Node } from './group.ts';
import { describeMembers } from './members-of-group.ts';
import type { MemberChange } from './plan.ts';

/** Whom an operator takes for the leader. */
function whoLeads(group: Group, pick: number): Node | undefined {
  if (group.plan.isLeaderGuessed !== true) return group.leader;
  const { leaders } = group;
  return leaders[Math.floor(((pick * 977) % 1) * leaders.length)];
}

export function transferLeadership(group: Group, pick: number): void {
  const leader = whoLeads(group, pick);
  const voters = leader?.status?.members.voters ?? [];
  const to = voters[Math.floor(pick * voters.length)];
  if (leader === undefined || to === undefined) return;
  leader.control({ kind: 'transferLeadership', to }, (why) => group.note?.('operator', `transfer to n${to}: ${why}`));
}

export function changeMembers(group: Group, change: MemberChange, pick: number): void {
  const leader = whoLeads(group, pick);
  if (leader?.status === undefined) return;
  const members = goalOf(group, leader.id, leader.status.members, change, pick);
  if (members === undefined) return;
  const goal = describeMembers(members);
  group.note?.('operator', `asks n${leader.id} for the members ${goal}`);
  leader.control({ kind: 'changeMembers', members }, (why) => {
    group.note?.('operator', `members ${goal}: ${why}`);
    if (why === 'completed' && group.plan.retires === true) switchOffFormer(group, members);
  });
}

/** Somebody says that the members are settled: whoever was removed hears of it, and goes. */
export function letRemovedGo(group: Group, members: Members): void {
  switchOffFormer(group, members, (id) => group.wasRemoved(id));
}

/** A change that is done needs nobody of before: whoever is no member then, nor to be one again, may be switched off for good. */
function switchOffFormer(group: Group, { voters, nonVoters }: Members, isMeant = (_: NodeId) => true): void {
  const former = group.nodes().filter((id) => !voters.includes(id) && !nonVoters.includes(id) && group.isSound(id));
  for (const id of former.filter(isMeant)) if (!group.mayVoteAgain(id, voters)) group.retire(id);
}

/** Undefined if it makes no sense now, or could leave the group without a quorum of sound disks. */
function goalOf(
  group: Group,
  leader: NodeId,
  { voters, nonVoters }: Members,
  change: MemberChange,
  pick: number,
): Members | undefined {
  const one = (of: readonly NodeId[]): NodeId | undefined => of[Math.floor(pick * of.length)];
  const isSound = (id: NodeId) => group.isSound(id);
  const outside = group.nodes().filter((id) => !voters.includes(id) && !nonVoters.includes(id) && isSound(id));
  const without = (of: readonly NodeId[], id: NodeId | undefined) => of.filter((other) => other !== id);
  const drawn = ((): Members | undefined => {
    switch (change) {
      case 'addVoter': {
        const fresh = one([...outside, ...nonVoters.filter(isSound)]);
        return fresh === undefined ? undefined : { voters: [...voters, fresh], nonVoters: without(nonVoters, fresh) };
      }
      case 'addNonVoter': {
        const fresh = one(outside);
        return fresh === undefined ? undefined : { voters, nonVoters: [...nonVoters, fresh] };
      }
      case 'promote': {
        const ready = one(nonVoters.filter(isSound));
        return ready === undefined ? undefined : { voters: [...voters, ready], nonVoters: without(nonVoters, ready) };
      }
      case 'demote': {
        const voter = one(voters);
        return voter === undefined ? undefined : { voters: without(voters, voter), nonVoters: [...nonVoters, voter] };
      }
      case 'remove': {
        const member = one([...voters, ...nonVoters]);
        return { voters: without(voters, member), nonVoters: without(nonVoters, member) };
      }
      case 'alone':
        return { voters: [leader], nonVoters: [] };
      case 'removeLeader':
        return { voters: without(voters, leader), nonVoters };
      case 'replace': {
        const gone = voters.find((id) => !isSound(id)) ?? one(voters);
        const fresh = one(outside);
        return fresh === undefined ? undefined : { voters: [...without(voters, gone), fresh], nonVoters };
      }
      case 'shuffle': {
        const all = group.nodes().filter(isSound);
        const first = Math.floor(pick * all.length);
        return { voters: all.map((_, i) => all[(first + i) % all.length]!).slice(0, voters.length), nonVoters: [] };
      }
    }
  })();
  if (drawn === undefined || drawn.voters.length === 0) return undefined;
  // quorums may be of other sizes than majorities; whether those fit at all is for the engine to say
  return group.areAllSound || group.canDecide(isSound, drawn) ? drawn : undefined;
}
