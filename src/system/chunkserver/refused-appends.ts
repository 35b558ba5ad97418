/**
 * Appends that one writer has under way come in order and keep it: behind one that was refused for a reason that passes, what was sent before its
 * writer knew of that is refused too. The writer sends the first one again at once, and then the others. Where it does not, having given it up, those
 * wait for a moment only.
 *
 * Bounded: beyond `refusedMax` the oldest refusals are forgotten.
 */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Clock } from '../../core/base/env.ts';
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import type { MutationKind } from '../../core/protocol/chunk-calls.ts';

const refusedMax = 1024;
/** Clients wait for a quarter of this before they send again. */
const heldMs = 1000;

/** What comes next may be taken all the same: of other reasons the next under the same grant dies too. */
const passing: ReadonlySet<ErrorCode> = new Set(['BUSY', 'CHECKSUM_MISMATCH', 'LEASE_EXPIRED']);

interface Refusal {
  readonly sequence: number;
  readonly until: number;
}

export class RefusedAppends {
  readonly #clock: Clock;
  /** By chunk and writer, of the first one; the oldest first. */
  readonly #refusals = new Map<string, Refusal>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws CairnError BUSY if another one has to come before it */
  mustBeNext(handle: ChunkHandle, kind: MutationKind): void {
    if (this.#refusals.size === 0 || kind.kind !== 'append') return;
    this.#dropOld();
    const key = keyOf(handle, kind.writer);
    const refusal = this.#refusals.get(key);
    if (refusal === undefined) return;
    if (kind.firstSequence > refusal.sequence)
      throw new CairnError('BUSY', `append ${refusal.sequence} of this writer was refused and comes first; try again`);
    this.#refusals.delete(key);
  }

  note(handle: ChunkHandle, kind: MutationKind, { code }: CairnError): void {
    if (kind.kind !== 'append' || !passing.has(code)) return;
    const key = keyOf(handle, kind.writer);
    this.#refusals.delete(key);
    this.#refusals.set(key, { sequence: kind.firstSequence, until: this.#clock.now() + heldMs });
    this.#dropOld();
  }

  #dropOld(): void {
    const now = this.#clock.now();
    for (const [key, { until }] of this.#refusals) {
      if (now < until && this.#refusals.size <= refusedMax) return;
      this.#refusals.delete(key);
    }
  }
}

function keyOf(handle: ChunkHandle, writer: number): string {
  return `${handle}:${writer}`;
}
