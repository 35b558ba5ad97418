/** What operators ask of the group, and masters that want to join it: decided by the leader, logged in the roster, done by the keeper. */
import type { Address, NodeId } from '../../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { configuredIdOf } from '../../../core/base/node-id.ts';
import type { RequestOf, ResponseOf } from '../../../core/protocol/call.ts';
import type { masterCalls } from '../../../core/protocol/master-calls.ts';
import { type AdditionState, decodeIntroduction, type Introduction } from '../../../core/protocol/membership.ts';
import type { Leader } from '../leader.ts';
import { valueOrThrow } from '../refusal.ts';
import { bookedResult, doneResult } from '../state/commands.ts';
import type { Roster, RosterEntry } from '../state/roster.ts';
import { introduceTo } from './acquaintance.ts';
import { notAMember } from './doorkeeper.ts';
import type { Keeper } from './keeper.ts';
import { quorumLost } from './plan.ts';
import type { Self } from './self.ts';

/** How long a call waits for what it asked for before it tells how far that is. */
const answerWithinMs = 500;
const lookEveryMs = 20;
const strangerMs = 1000;
/** A member that still answers is not replaced by another that claims its id. */
const verifyMs = 300;

export interface RequestWorld {
  readonly leader: Leader;
  readonly self: Self;
  readonly keeper: Keeper;
  roster(): Roster;
  lagOf(node: NodeId): number | undefined;
  /** Whether the member answers now. */
  answers(node: NodeId, withinMs: number): Promise<boolean>;
  transfer(to: NodeId): Promise<void>;
}

// ---------------------------------------------------------------- leadership

/**
 * Nothing is committed while leadership is being handed over: so to nobody who does not answer, and once. Who asks again and again, as callers do
 * of what may pass, would stop the cluster for as long.
 * @throws CairnError NOT_FOUND, INVALID_ARGUMENT, ABORTED (it does not answer, or did not take over), BUSY
 */
export async function transferLeadership(world: RequestWorld, id: number): Promise<Record<never, never>> {
  const { node } = mustBeMember(world, id);
  if (node === world.self.node) return {};
  if (world.keeper.standingOf(node) !== 'voter')
    throw new CairnError('INVALID_ARGUMENT', `master ${id} does not vote, so it cannot lead; choose a voter`);
  if (!(await world.answers(node, strangerMs)))
    throw new CairnError('ABORTED', `master ${id} does not answer, so it is not made the leader; see that it runs`);
  try {
    await world.transfer(node);
  } catch (thrown) {
    const error = toCairnError(thrown);
    if (error.code !== 'UNAVAILABLE') throw error;
    throw new CairnError('ABORTED', error.message, { cause: error });
  }
  return {};
}

// ---------------------------------------------------------------- adding

/** @throws CairnError UNAVAILABLE, DUPLICATE_ID, CONFIG_INVALID, NOT_A_MEMBER, WRONG_CLUSTER, PROTOCOL */
export async function addMaster(world: RequestWorld, address: Address): Promise<AdditionState> {
  const stranger = await meet(world, address);
  const node = await nameFor(world, stranger);
  world.keeper.look();
  await until(world, () => world.keeper.standingOf(node) === 'voter');
  const standing = world.keeper.standingOf(node);
  if (standing === undefined || standing === 'leaving')
    throw new CairnError(
      'ABORTED',
      `master ${stranger.id} was removed again while it was being added; look who does that`,
    );
  return { id: stranger.id, node, standing, lag: world.lagOf(node) };
}

async function meet({ leader, self }: RequestWorld, address: Address): Promise<Introduction> {
  try {
    const stranger = await introduceTo(leader.env, address, self.introduction(), strangerMs);
    self.checkTerms(stranger);
    if (stranger.address === address) return stranger;
    throw new CairnError(
      'CONFIG_INVALID',
      `the master at ${address} says that it listens at ${stranger.address}; add it under that address, or set its node.address`,
    );
  } catch (thrown) {
    const error = toCairnError(thrown);
    if (error.retry === 'never') throw error;
    throw new CairnError(
      'UNAVAILABLE',
      `no master answers at ${address} (${error.message}); start it there with \`cairn master\`, then add it`,
      { cause: error },
    );
  }
}

/** The name it has already, or a new one. */
async function nameFor(world: RequestWorld, stranger: Introduction): Promise<NodeId> {
  const { id, node, directory, address } = stranger;
  const member = world.roster().member(id);
  if (node !== undefined) {
    if (member?.node === node) return node;
    throw notAMember(node);
  }
  if (member !== undefined && member.directory !== directory)
    throw new CairnError(
      'DUPLICATE_ID',
      `id ${id} is that of the master at ${member.address}; give the new one another id (or, if its disk was replaced, wait: it joins by itself)`,
    );
  return book(world, { id, address, directory }, false);
}

async function book(
  { leader }: RequestWorld,
  who: Pick<Introduction, 'id' | 'address' | 'directory'>,
  onlyIfMember: boolean,
): Promise<NodeId> {
  const { id, address, directory } = who;
  const command = { kind: 'bookMaster', id, address, directory, onlyIfMember } as const;
  return valueOrThrow(await leader.execute(command, bookedResult)).node;
}

// ---------------------------------------------------------------- coming back without a disk

/** A name for a master of the group that has lost what it held, or that was just added. @throws NOT_A_MEMBER, DUPLICATE_ID … */
export async function joinGroup(
  world: RequestWorld,
  frame: RequestOf<typeof masterCalls.joinGroup>,
): Promise<ResponseOf<typeof masterCalls.joinGroup>> {
  const { leader, self, keeper } = world;
  const stranger = decodeIntroduction(frame, self.clusterId);
  self.checkTerms(stranger);
  const member = world.roster().member(stranger.id);
  if (member !== undefined && member.directory !== stranger.directory) await mustBeSilent(world, member);
  const node = await book(world, stranger, true);
  if (member?.node !== node)
    leader.env.events.emit('warn', 'master_replaced', { master: stranger.id, was: member?.node, is: node });
  keeper.look();
  return { node, bootstrap: self.record.bootstrap };
}

async function mustBeSilent(
  { leader, self }: RequestWorld,
  { id, node, address, directory }: RosterEntry,
): Promise<void> {
  const isSelf = node === self.node;
  const answer = isSelf
    ? self.introduction()
    : await introduceTo(leader.env, address, self.introduction(), verifyMs).catch(() => undefined); // nobody is there
  const lives = answer !== undefined && answer.id === id && (answer.node === node || answer.directory === directory);
  if (!lives) return;
  throw new CairnError(
    'DUPLICATE_ID',
    `master ${id} runs at ${address} already; give each master an id and a directory of its own`,
  );
}

// ---------------------------------------------------------------- removing

/** @throws CairnError NOT_FOUND, WOULD_LOSE_QUORUM */
export async function removeMaster(world: RequestWorld, id: number): Promise<{ readonly done: boolean }> {
  const { keeper, leader } = world;
  const roster = world.roster();
  const member = roster.member(id);
  if (member !== undefined) {
    await refuseLoss(world, member);
    valueOrThrow(await leader.execute({ kind: 'dropMaster', id }, doneResult));
    keeper.look();
  } else if (!roster.knows(id)) throw noSuchMaster(id);
  const isDone = () => !hasMember(world, id);
  await until(world, isDone);
  return { done: isDone() };
}

/** The group must be able to decide without it. */
async function refuseLoss(world: RequestWorld, { id, node }: RosterEntry): Promise<void> {
  const { members, self } = world.keeper.view;
  if (!members.voters.includes(node)) return;
  const rest = members.voters.filter((voter) => voter !== node);
  const answered = new Set<NodeId>();
  await Promise.all(
    rest.map(async (voter) => {
      if (voter === self || (await world.answers(voter, strangerMs))) answered.add(voter);
    }),
  );
  world.leader.checkLeading();
  const why = quorumLost(rest, { self, isReachable: (voter) => answered.has(voter) });
  if (why === undefined) return;
  throw new CairnError(
    'WOULD_LOSE_QUORUM',
    `without master ${id} the group could not decide anything: ${why}; bring others back first, or add one`,
  );
}

function hasMember({ keeper }: RequestWorld, id: number): boolean {
  const { voters, votersNext = [], nonVoters } = keeper.view.members;
  return [...voters, ...votersNext, ...nonVoters].some((node) => configuredIdOf(node) === id);
}

// ---------------------------------------------------------------- common

function mustBeMember(world: RequestWorld, id: number): RosterEntry {
  const member = world.roster().member(id);
  if (member === undefined) throw noSuchMaster(id);
  return member;
}

function noSuchMaster(id: number): CairnError {
  return new CairnError('NOT_FOUND', `there is no master ${id}; \`cairn consensus status\` lists them`);
}

/** Or until it is time to tell how far it is. */
async function until({ leader }: RequestWorld, holds: () => boolean): Promise<void> {
  const { clock } = leader.env;
  const deadline = clock.now() + answerWithinMs;
  while (!holds() && clock.now() < deadline) {
    await new Promise<void>((resolve) => clock.after(lookEveryMs, resolve));
    leader.checkLeading();
  }
}
