/** What all members of a group must agree on, as a line that is compared and shown. */
import type { MasterReplica } from '../options.ts';

export function termsOf({
  kind,
  config,
}: Pick<MasterReplica<unknown, unknown>, 'config'> & { readonly kind: { readonly name: string } }): string {
  const { elector = 'timeout', lease, quorums, windowSlots } = config;
  const parts = [`engine ${kind.name}`, `elector ${elector}`, `lease ${lease?.durationMs ?? 0} ms`];
  if (quorums !== undefined) parts.push(`quorums ${quorums.prepare} and ${quorums.accept}`);
  if (windowSlots !== undefined) parts.push(`a window of ${windowSlots} slots`);
  return parts.join(', ');
}
