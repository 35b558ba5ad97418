/** Commands that change the roster of masters. */
import type { NodeId } from '../../../core/base/brand.ts';
import { configuredIdOf, incarnationMax, incarnationOf, nodeIdOf } from '../../../core/base/node-id.ts';
import { ok, type Result, refused } from '../../../core/base/result.ts';
import type { CommandOf } from './commands.ts';
import { mastersMax } from './roster.ts';
import type { Transition } from './transition.ts';

/** The first leader books the members that the group was founded with; whoever is booked already stays as it is. */
export function foundMasters(t: Transition, { masters }: CommandOf<'foundMasters'>): Result<Record<never, never>> {
  const { roster } = t.tables;
  for (const { id, address, directory } of masters)
    if (!roster.knows(id)) roster.put(id, { incarnation: 0, address, directory, removed: false });
  return ok({});
}

/**
 * A master is to belong to the group. The same directory gets the same name, however often it is asked for; another directory under
 * the same id is another incarnation, and takes the place of the one before.
 */
export function bookMaster(t: Transition, command: CommandOf<'bookMaster'>): Result<{ readonly node: NodeId }> {
  const { id, address, directory, onlyIfMember } = command;
  const { roster } = t.tables;
  if (id < 1) return refused('INVALID_ARGUMENT', `the master at ${address} has id ${id}; give it one of 1 to 65535`);
  const known = roster.record(id);
  const isMember = known !== undefined && !known.removed;
  if (onlyIfMember && !isMember)
    return refused('NOT_A_MEMBER', `master ${id} does not belong to this cluster; add it with \`cairn consensus add\``);
  if (isMember && known.directory === directory) {
    if (known.address !== address) roster.put(id, { ...known, address });
    return ok({ node: nodeIdOf(id, known.incarnation) });
  }
  if (!isMember && roster.members.length >= mastersMax)
    return refused('INVALID_ARGUMENT', `a cluster has at most ${mastersMax} masters; remove one first`);
  const incarnation = known === undefined ? 0 : known.incarnation + 1;
  if (incarnation > incarnationMax)
    return refused(
      'INVALID_ARGUMENT',
      `id ${id} has lost its disk ${incarnationMax} times; give the master another id`,
    );
  roster.put(id, { incarnation, address, directory, removed: false });
  return ok({ node: nodeIdOf(id, incarnation) });
}

/** A master listens elsewhere from now on. */
export function moveMaster(t: Transition, { node, address }: CommandOf<'moveMaster'>): Result<Record<never, never>> {
  const id = configuredIdOf(node);
  const known = t.tables.roster.record(id);
  if (known === undefined || known.removed || known.incarnation !== incarnationOf(node))
    return refused('NOT_A_MEMBER', `master ${id} does not belong to this cluster any more; add it again`);
  t.tables.roster.put(id, { ...known, address });
  return ok({});
}

/** A master does not belong to the group any more. */
export function dropMaster(t: Transition, { id }: CommandOf<'dropMaster'>): Result<Record<never, never>> {
  const { roster } = t.tables;
  const known = roster.record(id);
  if (known === undefined)
    return refused('NOT_FOUND', `there is no master ${id}; \`cairn consensus status\` lists them`);
  if (known.removed) return ok({});
  if (roster.members.length === 1)
    return refused(
      'WOULD_LOSE_QUORUM',
      `master ${id} is the only one: without it nobody could decide; add another first`,
    );
  roster.put(id, { ...known, removed: true });
  return ok({});
}
