/** What all members of a group must agree on, as a line that is compared and shown. */
import { CairnError } from '../../../core/base/errors.ts';
import type { ReplicaOptions } from '../../rsm/replica.ts';

export interface TermsSource {
  readonly kind: { readonly name: string };
  readonly config: Pick<ReplicaOptions<unknown, unknown>['config'], 'elector' | 'lease' | 'quorums' | 'windowSlots'>;
  /** By which the state machine applies commands. */
  readonly rules: number;
}

export function termsOf({ kind, config, rules }: TermsSource): string {
  const { elector = 'timeout', lease, quorums, windowSlots } = config;
  const parts = [`engine ${kind.name}`, `elector ${elector}`, `lease ${lease?.durationMs ?? 0} ms`];
  if (quorums !== undefined) parts.push(`quorums ${quorums.prepare} and ${quorums.accept}`);
  if (windowSlots !== undefined) parts.push(`a window of ${windowSlots} slots`);
  parts.push(`rules ${rules}`);
  return parts.join(', ');
}

export interface Party {
  readonly id: number;
  readonly terms: string;
}

/**
 * Members that apply commands by different rules would come to different states from one log, and nobody would notice.
 * @param word what a member is called
 * @throws CairnError CONFIG_INVALID
 */
export function checkTerms(word: 'master' | 'member', own: Party, other: Party): void {
  if (own.terms === other.terms) return;
  throw new CairnError(
    'CONFIG_INVALID',
    `${word} ${own.id} runs with ${own.terms}, ${word} ${other.id} with ${other.terms}; set engine, elector and lease alike on all, and, where the rules differ, stop all and start all with one version of the program`,
  );
}
