/** Reads that may be a little old, from any master: what `--stale` and `--max-age` ask for. */
import type { Cairn, Shadow } from '../../library/client.ts';

export interface StaleFlag {
  readonly stale?: boolean;
  /** Milliseconds; with it `stale` need not be said. */
  readonly maxAge?: number;
}

/** The shadow to be asked in place of the cluster; undefined without the flag. */
export function shadowFor(cairn: Cairn, { stale, maxAge }: StaleFlag): Shadow | undefined {
  if (stale !== true && maxAge === undefined) return undefined;
  return cairn.shadow({ maxAgeMs: maxAge });
}

/** What JSON says of an answer that may be old. */
export function ageOf(shadow: Shadow | undefined): { readonly ageMs?: number } {
  return shadow === undefined ? {} : { ageMs: Math.ceil(shadow.ageMs) };
}

/** For people, beside what was asked for. */
export function tellAge(shadow: Shadow | undefined, json: boolean): void {
  if (shadow === undefined || json) return;
  process.stderr.write(`as it was at most ${(Math.ceil(shadow.ageMs / 100) / 10).toFixed(1)} s ago\n`);
}
