/**
 * What a master that has promised nothing may do, judged by what the others say. A vote under incarnation 0 is only for directories that
 * never voted before: a founder has written down the directories of all with whom it founded the group, so that it tells a directory
 * that is still new from one that has taken the place of a member.
 */
import { CairnError, type ErrorCode } from '../../../core/base/errors.ts';
import type { DirectoryOfMaster, Introduction } from '../../../core/protocol/membership.ts';

export type Verdict =
  /** Not all have been heard yet. */
  | { readonly kind: 'wait' }
  /** All are new, or have founded the group with this very directory. */
  | { readonly kind: 'found'; readonly founders: readonly DirectoryOfMaster[] }
  /** The group has run, and does not know this directory: it joins under another name. */
  | { readonly kind: 'join' }
  | { readonly kind: 'refuse'; readonly error: CairnError };

/** These do not pass by themselves. */
const forGood: ReadonlySet<ErrorCode> = new Set(['PROTOCOL', 'WRONG_CLUSTER', 'CONFIG_INVALID', 'DUPLICATE_ID']);

/** @param others of each other master of the configuration what it said, or why it did not; undefined: it was not asked yet */
export function judge(own: Introduction, others: readonly (Introduction | CairnError | undefined)[]): Verdict {
  const outcomes = others.map((other) => (isAnswer(other) ? (mistake(own, other) ?? other) : other));
  const heard = outcomes.filter(isAnswer);
  const members = heard.filter(({ node }) => node !== undefined);
  if (members.some((member) => !foundedWith(member, own))) return { kind: 'join' };
  if (heard.length === others.length) {
    const founders = [own, ...heard].map(({ id, directory }) => ({ id, directory })).sort((a, b) => a.id - b.id);
    return { kind: 'found', founders };
  }
  // Where only some refuse, the mistake is rather theirs.
  const refusals = outcomes.filter((outcome) => outcome instanceof CairnError && forGood.has(outcome.code));
  return refusals.length === others.length ? { kind: 'refuse', error: refusals[0] as CairnError } : { kind: 'wait' };
}

function isAnswer(other: Introduction | CairnError | undefined): other is Introduction {
  return other !== undefined && !(other instanceof CairnError);
}

function foundedWith(member: Introduction, { id, directory }: Introduction): boolean {
  return member.founders.some((founder) => founder.id === id && founder.directory === directory);
}

/** What keeps two masters from founding a group together. */
export function mistake(own: Introduction, other: Introduction): CairnError | undefined {
  if (other.id === own.id)
    return new CairnError(
      'DUPLICATE_ID',
      `the master at ${other.address} has the id ${own.id} too; give each master an id of its own`,
    );
  if (other.node !== undefined || own.configured.join() === other.configured.join()) return undefined;
  return new CairnError(
    'CONFIG_INVALID',
    `master ${own.id} lists the masters ${own.configured.join(', ')}, master ${other.id} lists ${other.configured.join(', ')}; list the same on all before the first start`,
  );
}
