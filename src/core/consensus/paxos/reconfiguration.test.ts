import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { farBehindEntries } from '../catch-up-pace.ts';
import { standstillMaxTimeouts } from '../catch-up-round.ts';
import { type DropReason, defaultTiming } from '../engine.ts';
import { windowOf } from './configuration.ts';
import {
  accept,
  ballot,
  chain,
  index,
  members,
  OneNode,
  promise,
  reported,
  type Setup,
  sent,
  value,
} from './one-node.test-support.ts';
import type { PaxosEffects } from './outbox.ts';

const windowSlots = windowOf({});
const { electionTimeoutMaxMs, heartbeatIntervalMs } = defaultTiming;
const standstillMs = standstillMaxTimeouts * electionTimeoutMaxMs;
type Own = ReturnType<typeof ballot>;

const reasons = ({ dropped }: PaxosEffects): DropReason[] => dropped.map(({ reason }) => reason);
const named = (effects: PaxosEffects) =>
  (effects.persist?.records ?? []).flatMap((record) =>
    record.kind === 'accepted' && record.entry.payload.kind === 'members' ? [record.entry.payload.members] : [],
  );

/** A leader whose peers have all answered. */
function leaderOf(
  voters: number,
  nonVoters: readonly number[] = [],
  id = 1,
  config: Setup['config'] = {},
): { leader: OneNode; own: Own } {
  const leader = new OneNode({ id, voters, nonVoters, config });
  const own = leader.lead();
  for (const peer of [...leader.config.bootstrap.voters, ...nonVoters])
    if (peer !== id) leader.receive(peer, leader.accepted(own, 1, 0));
  return { leader, own };
}

/** Of voter 1, that knows of a change under way by its state alone. */
function switchingAt(slot: number): Setup {
  const from = members([1, 2, 3]);
  const at = { index: index(slot), term: 1, checksum: 9, members: { ...from, votersNext: members([1, 4, 5]).voters } };
  return { records: [{ kind: 'snapshotPoint', point: at }], applied: at };
}

/** Its disk and these peers vote for everything that is proposed. */
function choose(leader: OneNode, own: Own, ...acks: readonly number[]): PaxosEffects[] {
  const { effects } = leader.persist();
  const last = leader.status.lastIndex;
  return [effects, ...acks.map((id) => leader.receive(id, leader.accepted(own, 1, last)))];
}

/** Once all is on its disk these peers answer the next round of heartbeats: they lack so many values that were called chosen. */
function answer(leader: OneNode, own: Own, ids: readonly number[], lacks = 0): PaxosEffects[] {
  leader.persist();
  const round = Math.max(0, ...sent(leader.tick(heartbeatIntervalMs), 'accept').map(({ message }) => message.round));
  return ids.map((id) => leader.receive(id, leader.accepted(own, 1, leader.status.lastIndex, { round, lacks })));
}

const completed = (effects: readonly PaxosEffects[]) => effects.flatMap((each) => each.completed);

describe('a change of voters (Part-Time Parliament §3.3.5; Reconfiguring a State Machine §3)', () => {
  it('takes force α slots after it is chosen, which the leader fills; then the new voters confirm it', () => {
    const { leader, own } = leaderOf(3, [4, 5]);
    expect(named(leader.changeMembers(members([1, 4, 5])))).toEqual([
      { ...members([1, 2, 3]), votersNext: members([1, 4, 5]).voters },
    ]);
    choose(leader, own, 2);
    expect(leader.status.lastIndex).toBe(windowSlots); // slots 2 … α are filled, and slot 1 + α waits for promises
    leader.receive(4, promise(own, { first: 2 }));
    expect(leader.status.lastIndex).toBe(1 + windowSlots);
    choose(leader, own, 2, 4);
    expect(completed(answer(leader, own, [4]))).toEqual([1]);
    expect(leader.status.members).toEqual(members([1, 4, 5]));
  });

  it('takes force as soon as the α that all members were given says', () => {
    const { leader, own } = leaderOf(3, [4, 5], 1, { windowSlots: 4 });
    leader.changeMembers(members([1, 4, 5]));
    choose(leader, own, 2);
    expect(leader.status.lastIndex).toBe(4); // slot 1 + α waits for promises
    leader.receive(4, promise(own, { first: 2 }));
    expect(leader.status.lastIndex).toBe(5);
    choose(leader, own, 2, 4);
    expect(completed(answer(leader, own, [4]))).toEqual([1]);
    expect(() => new OneNode({ config: { windowSlots: 0 } })).toThrow('a window has at least one slot');
  });

  it('decides no slot of the window by the new voters, and none after it by the old', () => {
    const { leader, own } = leaderOf(3, [4, 5]);
    leader.changeMembers(members([1, 4, 5]));
    choose(leader, own, 2);
    leader.receive(4, promise(own, { first: 2 }));
    leader.persist();
    const last = leader.status.lastIndex;
    leader.receive(4, leader.accepted(own, 1, last));
    leader.receive(5, leader.accepted(own, 1, last));
    expect(leader.status.commitIndex).toBe(1); // 1, 4 and 5 are no quorum of 1, 2 and 3
    leader.receive(2, leader.accepted(own, 1, last));
    expect(leader.status.commitIndex).toBe(last);
  });

  it('proposes nothing to new voters before a prepare quorum of them has promised', () => {
    const { leader, own } = leaderOf(3, [4, 5]);
    leader.changeMembers(members([3, 4, 5]));
    const asked = choose(leader, own, 2).flatMap((effects) => sent(effects, 'prepare').map(({ to }) => to));
    expect(asked).toEqual([4, 5]); // node 3 was asked before, and has not told its votes yet
    leader.receive(4, promise(own, { first: 2 }));
    expect(leader.status.lastIndex).toBe(windowSlots);
    leader.receive(5, promise(own, { first: 2 }));
    expect(leader.status.lastIndex).toBe(windowSlots + 1);
  });

  it('is completed by whoever leads next', () => {
    const { leader, own } = leaderOf(3, [4, 5]);
    leader.changeMembers(members([1, 4, 5]));
    choose(leader, own, 2);
    const next = leader.restart();
    const second = next.campaign([2, 4]).ballot;
    next.receive(2, promise(second, { first: next.status.commitIndex + 1 }));
    expect(next.status.role).toBe('candidate'); // who may decide next has to promise as well
    next.receive(4, promise(second, { first: next.status.commitIndex + 1 }));
    expect(next.status.role).toBe('leader');
    choose(next, second, 2, 4);
    choose(next, second, 2, 4);
    expect(next.status.members).toEqual(members([1, 4, 5]));
  });

  it('lets strangers listen before they vote, until they have caught up', () => {
    const { leader, own } = leaderOf(3);
    expect(named(leader.changeMembers(members([1, 2, 3, 4])))).toEqual([members([1, 2, 3], [4])]);
    choose(leader, own, 2);
    leader.receive(4, leader.accepted(own, 1, 1, { lacks: 7 }));
    expect(leader.status.lastIndex).toBe(1);
    const effects = leader.receive(4, leader.accepted(own, 1, 1, { lacks: 0 }));
    expect(named(effects)[0]?.votersNext).toEqual([1, 2, 3, 4]);
  });

  it('sends a listener that is far behind heartbeats alone, and values again when it is near', () => {
    const { leader, own } = leaderOf(3, [4]);
    leader.receive(4, leader.accepted(own, 1, 0, { lacks: farBehindEntries + 1 }));
    const told = (effects: PaxosEffects) => sent(effects, 'accept').map(({ to }) => to);
    expect(told(leader.propose())).toEqual([2, 3]);
    choose(leader, own, 2);
    expect(told(leader.tick(5))).toEqual([2, 3]); // that it is chosen
    expect(told(leader.tick(heartbeatIntervalMs))).toEqual([2, 3, 4]);
    const near = sent(leader.receive(4, leader.accepted(own, 1, 0, { lacks: farBehindEntries })), 'accept');
    expect(near.map(({ to, message }) => [to, message.entries.length])).toEqual([[4, 1]]);
    expect(told(leader.propose())).toEqual([2, 3, 4]);
  });

  it('sends a voter, and who is to be one, everything, however much they lack', () => {
    const { leader, own } = leaderOf(3, [4, 5]);
    leader.changeMembers(members([1, 4, 5]));
    choose(leader, own, 2);
    for (const id of [3, 4]) leader.receive(id, leader.accepted(own, 1, 0, { lacks: windowSlots + 1 }));
    const to = sent(leader.receive(4, promise(own, { first: 2 })), 'accept').map((each) => each.to);
    expect(to).toEqual([2, 3, 4, 5]);
  });

  it('is one entry, in force at once, when who votes stays the same', () => {
    const { leader, own } = leaderOf(3);
    expect(named(leader.changeMembers(members([1, 2, 3], [4])))).toEqual([members([1, 2, 3], [4])]);
    choose(leader, own, 2);
    expect(completed(answer(leader, own, [2]))).toEqual([1]);
    expect([...leader.status.lagPerPeer.keys()]).toEqual([2, 3, 4]);
  });

  it('ends the leadership of a node that is left out, once it is done', () => {
    const { leader, own } = leaderOf(3);
    leader.changeMembers(members([2, 3]));
    choose(leader, own, 2);
    leader.receive(3, promise(own, {}));
    choose(leader, own, 2, 3);
    const effects = answer(leader, own, [2, 3]);
    expect(completed(effects)).toEqual([1]);
    expect(leader.status.role).toBe('follower');
    expect(effects.flatMap((e) => sent(e, 'takeOver'))).toHaveLength(1);
  });

  it('is not done before an accept quorum of the new voters lacks nothing: the others may be switched off then', () => {
    const { leader, own } = leaderOf(3);
    leader.changeMembers(members([2, 3]));
    choose(leader, own, 2);
    leader.receive(3, promise(own, {}));
    const early = [...choose(leader, own, 2, 3), ...answer(leader, own, [2]), ...answer(leader, own, [3], 1)];
    expect(leader.status.members).toEqual(members([2, 3]));
    expect([completed(early), leader.status.role]).toEqual([[], 'leader']);
    expect(completed(answer(leader, own, [3]))).toEqual([1]);
  });

  it('is not done before the leader itself has on its disk that the members are chosen', () => {
    const { leader, own } = leaderOf(3);
    leader.changeMembers(members([1, 2, 3], [4]));
    choose(leader, own, 2);
    const round = Math.max(...sent(leader.tick(heartbeatIntervalMs), 'accept').map(({ message }) => message.round));
    expect(leader.receive(2, leader.accepted(own, 1, 1, { round })).completed).toEqual([]);
    expect(leader.persist().effects.completed).toEqual([1]);
  });

  it('is known to be chosen after a restart by whoever said that it lacked nothing: the voters before need not be there', () => {
    const follower = new OneNode({ id: 2, voters: 3 });
    const of = ballot(1, 1);
    const [entry] = chain(1, 0, [1, { kind: 'members', members: members([2, 3]) }]);
    follower.receive(1, accept(of, [entry!]));
    follower.persist();
    const lacksOf = (effects: PaxosEffects) => sent(effects, 'accepted').map(({ message }) => message.lacks);
    const heartbeat = accept(of, [], {
      first: 2,
      previous: entry!.checksum,
      chosen: 1,
      chosenChecksum: entry!.checksum,
    });
    expect(lacksOf(follower.receive(1, heartbeat))).toEqual([1]);
    follower.persist();
    expect(lacksOf(follower.receive(1, heartbeat))).toEqual([0]);
    expect(follower.restart().tick(0).committed).toEqual([entry]);
  });

  it('lets nobody go before an accept quorum of the new voters lacks nothing, by whomever it was begun', () => {
    const { leader, own } = leaderOf(4, [], 1, { windowSlots: 4 });
    leader.changeMembers(members([1, 2, 3]));
    choose(leader, own, 2, 3);
    const next = new OneNode({ voters: 4, config: { windowSlots: 4 }, records: leader.written });
    const second = next.campaign([2, 3, 4]).ballot;
    const votes = [reported(own, 5, 1, { kind: 'members', members: members([1, 2, 3]) })];
    for (const id of [2, 3]) next.receive(id, promise(second, { first: next.status.commitIndex + 1, votes }));
    expect(next.status.role).toBe('leader');
    choose(next, second, 2, 3);
    expect(next.status).toMatchObject({ members: members([1, 2, 3]), membersSettled: false });
    answer(next, second, [2, 3], 1);
    expect(next.status.membersSettled).toBe(false);
    answer(next, second, [2]);
    expect(next.status.membersSettled).toBe(true);
  });

  it('of before a leader lets nobody go either before an accept quorum has answered that it lacks nothing', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.persist();
    expect(leader.status.membersSettled).toBe(false);
    leader.receive(2, leader.accepted(own, 1, 0, { lacks: 1 }));
    expect(leader.status.membersSettled).toBe(false);
    leader.receive(3, leader.accepted(own, 1, 0));
    expect(leader.status.membersSettled).toBe(true);
    expect(new OneNode().status.membersSettled).toBe(false); // who follows does not know
  });

  it('begun by an earlier leader, is seen through in the same way by one that it leaves out', () => {
    const { leader, own } = leaderOf(3);
    leader.changeMembers(members([2, 3]));
    choose(leader, own, 2);
    leader.receive(3, promise(own, {}));
    choose(leader, own, 2);
    const next = leader.restart();
    const second = next.campaign([2, 3]).ballot;
    const votes = [reported(own, 1 + windowSlots, 1, { kind: 'members', members: members([2, 3]) })];
    for (const id of [2, 3]) next.receive(id, promise(second, { first: next.status.commitIndex + 1, votes }));
    choose(next, second, 2, 3);
    choose(next, second, 2, 3);
    expect([next.status.members, next.status.role]).toEqual([members([2, 3]), 'leader']);
    answer(next, second, [2, 3]);
    expect(next.status.role).toBe('follower');
  });

  it.each<[string, Parameters<typeof members>, DropReason[]]>([
    ['without a voter', [[]], ['membersInvalid']],
    ['with a member twice', [[1, 2], [2]], ['membersInvalid']],
    ['of whom a quorum is not heard', [[3]], ['membersInvalid']],
  ])('is refused %s', (_, goal, expected) => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.tick(electionTimeoutMaxMs - 1);
    leader.receive(2, leader.accepted(own, 1, 0));
    leader.tick(1);
    expect(reasons(leader.changeMembers(members(...goal)))).toEqual(expected);
  });

  it('is taken by a leader that is too new to have heard from anybody, and waits until it is known who is there', () => {
    const leader = new OneNode({ nonVoters: [4] });
    const own = leader.lead();
    const effects = leader.changeMembers(members([1, 2, 4]));
    expect([reasons(effects), named(effects)]).toEqual([[], []]);
    leader.receive(2, leader.accepted(own, 1, 0));
    expect(named(leader.receive(4, leader.accepted(own, 1, 0)))[0]?.votersNext).toEqual([1, 2, 4]);
  });

  it('is refused by that leader once those who have not answered have had the time to', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.changeMembers(members([1, 2]));
    leader.tick(electionTimeoutMaxMs - 1);
    leader.receive(3, leader.accepted(own, 1, 0));
    expect(reasons(leader.tick(1))).toEqual(['membersInvalid']);
  });

  it('is refused while another is under way', () => {
    const { leader } = leaderOf(3, [4]);
    leader.changeMembers(members([1, 2, 4]));
    expect(reasons(leader.changeMembers(members([1, 2, 3])))).toEqual(['changeInProgress']);
  });

  it('gives up a node that is to vote and never answers, and is as it was before', () => {
    const { leader, own } = leaderOf(3);
    leader.changeMembers(members([1, 2, 3, 4]));
    const all: PaxosEffects[] = choose(leader, own, 2, 3);
    for (let ms = 0; ms < 21 * electionTimeoutMaxMs; ms += heartbeatIntervalMs) {
      all.push(leader.tick(heartbeatIntervalMs), ...choose(leader, own, 2, 3));
    }
    expect(all.flatMap(reasons)).toEqual(['targetUnavailable']);
    expect(leader.status.members).toEqual(members([1, 2, 3]));
  });

  it('gives up a node that answers and comes no nearer, and is as it was before', () => {
    const { leader, own } = leaderOf(3);
    leader.changeMembers(members([1, 2, 3, 4]));
    const all: PaxosEffects[] = choose(leader, own, 2, 3);
    const goOn = () => {
      all.push(leader.tick(heartbeatIntervalMs), ...choose(leader, own, 2, 3));
      all.push(leader.receive(4, leader.accepted(own, 1, 0, { lacks: 7 })));
    };
    for (let ms = 0; ms < standstillMs; ms += heartbeatIntervalMs) goOn();
    expect(all.flatMap(reasons)).toEqual([]);
    for (let ms = 0; ms < electionTimeoutMaxMs; ms += heartbeatIntervalMs) goOn();
    expect(all.flatMap(reasons)).toEqual(['targetUnavailable']);
    expect(leader.status.members).toEqual(members([1, 2, 3]));
  });

  it('does not give up a node to which somebody else streams his state, as long as it says so', () => {
    const { leader, own } = leaderOf(3);
    leader.changeMembers(members([1, 2, 3, 4]));
    const all: PaxosEffects[] = choose(leader, own, 2, 3);
    const stranger = new OneNode({ id: 4 });
    const goOn = () => {
      const beat = leader.tick(heartbeatIntervalMs);
      all.push(beat, ...choose(leader, own, 2, 3));
      const answers = sent(beat, 'accept').flatMap(({ to, message }) =>
        to === 4
          ? [...stranger.receive(1, message).send.map((each) => each.message), ...stranger.persist().released]
          : [],
      );
      for (const answer of answers) if (answer.kind === 'fed') all.push(leader.receive(4, answer));
      all.push(leader.receive(4, leader.accepted(own, 1, 0, { lacks: 7 })));
    };
    goOn();
    stranger.input({ kind: 'snapshotArriving', arriving: true, now: toMillis(stranger.now) });
    for (let ms = 0; ms < 2 * standstillMs; ms += heartbeatIntervalMs) goOn();
    expect(all.flatMap(reasons)).toEqual([]);
    stranger.input({ kind: 'snapshotArriving', arriving: false, now: toMillis(stranger.now) });
    for (let ms = 0; ms < standstillMs + electionTimeoutMaxMs; ms += heartbeatIntervalMs) goOn();
    expect(all.flatMap(reasons)).toEqual(['targetUnavailable']);
  });

  it('gives a vote to its leader, which has none any more and need not be waited for', () => {
    const leader = new OneNode({ voters: 2 });
    const own = leader.campaign([2]).ballot;
    leader.receive(2, promise(own, { chosen: 1, votes: [reported(ballot(1, 2), 2, 1, value(1))] }));
    const entries = chain(1, 0, [1, { kind: 'members', members: members([2]) }]);
    leader.receive(2, { kind: 'chosen', first: index(1), firstRetained: index(1), entries });
    leader.changeMembers(members([1, 2])); // before all is decided by which it would go
    expect(choose(leader, own, 2).flatMap(named)).toEqual([members([2], [1])]);
    expect(choose(leader, own, 2).flatMap(named)).toEqual([{ ...members([2]), votersNext: members([1, 2]).voters }]);
  });

  it('goes out from the members that earlier leaders have made, which it learns of only when it begins', () => {
    const leader = new OneNode({ nonVoters: [4, 5] });
    const own = leader.campaign([2, 4]).ballot;
    const newVoters = members([1, 4, 5]).voters;
    const open = [
      ...Array.from({ length: windowSlots }, (_, i) => reported(ballot(1, 2), 1 + i, 1)),
      reported(ballot(1, 2), 1 + windowSlots, 1, {
        kind: 'members',
        members: { ...members([1, 2, 3]), votersNext: newVoters },
      }),
    ];
    leader.receive(2, promise(own, { votes: open }));
    for (const id of [4, 5]) leader.receive(id, promise(own, {}));
    for (const id of [2, 3, 4, 5]) leader.receive(id, leader.accepted(own, 1, 0));
    expect(reasons(leader.changeMembers(members([1, 4, 5], [3])))).toEqual([]);
    const asked = Array.from({ length: 6 }, () => choose(leader, own, 2, 4, 5).flatMap(named)).flat();
    expect(asked.at(-1)).toEqual(members([1, 4, 5], [3]));
    expect(asked.slice(0, -1)).toEqual([{ ...members([1, 2, 3]), votersNext: newVoters }, members([1, 4, 5])]);
  });

  it('counts votes anew that came before it was known to be done: the new voters may have given enough of them', () => {
    const leader = new OneNode(switchingAt(50));
    const own = leader.campaign([2, 4]).ballot;
    const votes = [
      reported(ballot(1, 2), 51, 1, { kind: 'members', members: members([1, 4, 5]) }),
      reported(ballot(1, 2), 52, 1, value(7)),
    ];
    for (const id of [2, 4]) leader.receive(id, promise(own, { first: 51, votes }));
    choose(leader, own);
    leader.receive(4, leader.accepted(own, 51, 52));
    leader.receive(2, leader.accepted(own, 51, 51));
    expect(leader.status.members).toEqual(members([1, 4, 5]));
    expect(leader.status.commitIndex).toBe(52); // 1 and 4 have voted there, and 2 has no vote any more
  });

  it('after a snapshot that shows it under way, asks both the old voters and the new: who decides where is not known', () => {
    const newcomer = new OneNode(switchingAt(50));
    const own = newcomer.campaign([2, 4]).ballot;
    newcomer.receive(2, promise(own, { first: 51 }));
    newcomer.receive(3, promise(own, { first: 51 }));
    expect(newcomer.status.role).toBe('candidate');
    newcomer.receive(4, promise(own, { first: 51 }));
    expect(newcomer.status.role).toBe('leader');
  });
});
