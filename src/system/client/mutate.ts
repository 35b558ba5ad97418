/**
 * One mutation of one chunk, until it is acknowledged, refused for good, or out of time. Whatever its failure was, it is repeated under
 * a later version unless it certainly did nothing: so no copy of it that is still on its way can take effect after the answer.
 */
import { assert } from '../../core/base/assert.ts';
import type { ChunkVersion, ServerId } from '../../core/base/brand.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import type { MutationKind } from '../../core/protocol/chunk-calls.ts';
import type { IfMissing } from '../../core/protocol/master-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { Attempts } from './attempts.ts';
import type { ChunkGrants } from './chunk-grants.ts';
import { isLost } from './chunk-pool.ts';
import type { ClientCore } from './core.ts';
import { isDoubtful } from './failures.ts';
import { mutateAttemptMs } from './limits.ts';

/** The bytes of one mutation, and what they must add up to. */
export interface Payload {
  readonly kind: MutationKind;
  readonly parts: readonly Uint8Array[];
  readonly crc: number;
}

export interface MutatedFile {
  readonly chunkBytes: number;
  readonly grants: ChunkGrants;
}

export interface Mutated {
  readonly offsets: readonly number[];
  readonly lengthBytes: number;
}

/** Refused before anything was done, for a reason that passes: the same grant may work in a moment. */
export function isPassing(error: CairnError): boolean {
  return error.code === 'BUSY' || error.code === 'CHECKSUM_MISMATCH';
}

/** The chunk remembers its writer no longer: nobody will ever know whether the mutation was carried out. */
export function isForgotten(error: CairnError): boolean {
  return error.code === 'UNKNOWN_OUTCOME';
}

/** The same mutation, sent before under this version, or later ones. */
export function sentBefore(payload: Payload, since: ChunkVersion | undefined): Payload {
  return payload.kind.kind === 'write' ? payload : { ...payload, kind: { ...payload.kind, since } };
}

/** @throws CairnError */
export async function mutate(
  core: ClientCore,
  file: MutatedFile,
  index: number,
  payload: Payload,
  attempts: Attempts,
): Promise<Mutated> {
  let grant = await file.grants.get(index, attempts.leftMs);
  let since: ChunkVersion | undefined;
  const what = () => `the change of chunk ${grant.handle}`;
  for (let tries = 1; ; tries++) {
    attempts.mustBeWanted();
    let error: CairnError;
    try {
      return await mutateOnce(core, file, index, grant, sentBefore(payload, since), attempts.leftMs);
    } catch (thrown) {
      error = toCairnError(thrown);
    }
    if (isForgotten(error)) throw error;
    if (isDoubtful(error)) since = lower(since, grant.version);
    attempts.failed(what(), error, true);
    if (tries > 1 || isPassing(error)) await attempts.pause();
    attempts.mustBeWanted();
    try {
      grant = await laterGrant(core, file, index, grant, payload, error, attempts);
    } catch (thrown) {
      throw attempts.giveUp(what(), toCairnError(thrown));
    }
  }
}

/**
 * @param leaves see chunk-pool.ts.
 * @throws CairnError as the primary answered; the outcome is unknown unless its code is passing
 */
export async function mutateOnce(
  core: ClientCore,
  file: MutatedFile,
  index: number,
  grant: Grant,
  payload: Payload,
  timeoutMs: number,
  leaves?: (connection: object) => void,
): Promise<Mutated> {
  const primary = grant.replicas[0];
  assert(primary !== undefined, 'a grant names its primary', { handle: grant.handle });
  const { kind, parts, crc } = payload;
  const options = { body: parts, timeoutMs: Math.min(timeoutMs, mutateAttemptMs), leaves };
  const request = { grant, kind, crc, chunkBytes: file.chunkBytes };
  const { response } = await core.pool.call(primary.address, 'mutate', request, options);
  file.grants.used(index, grant);
  return response;
}

/** Under which to try again after `error`. @throws CairnError */
export function laterGrant(
  core: ClientCore,
  file: MutatedFile,
  index: number,
  grant: Grant,
  payload: Payload,
  error: CairnError,
  attempts: Attempts,
  ifMissing?: IfMissing,
): Promise<Grant> | Grant {
  if (error.code === 'CHECKSUM_MISMATCH') mustBeUnchanged(core, payload);
  if (isPassing(error)) return grant;
  return file.grants.renew(index, grant, failedBy(error, grant), attempts.leftMs, ifMissing);
}

/** Bytes that the caller changed while they were under way are not worth another try. */
function mustBeUnchanged(core: ClientCore, { parts, crc }: Payload): void {
  let now = 0;
  for (const part of parts) now = core.env.crc32(part, now);
  if (now === crc) return;
  throw new CairnError(
    'INVALID_ARGUMENT',
    'the bytes were changed while they were being written; leave them alone until the write has succeeded',
  );
}

export function lower(a: ChunkVersion | undefined, b: ChunkVersion): ChunkVersion {
  return a === undefined || b < a ? b : a;
}

const failsPrimary: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'CHUNK_MISSING',
  'DISK_FULL',
  'DISK_FAILED',
  'DISK_CORRUPT',
]);

/** Whom the error speaks against: those it names, else the primary if it is about whoever answered, or did not. */
function failedBy(error: CairnError, grant: Grant): readonly ServerId[] {
  const named = /^\d+(,\d+)*$/.test(error.hint) ? error.hint.split(',').map(Number) : [];
  const members = grant.replicas.map((replica) => replica.server);
  const known = members.filter((server) => named.includes(server));
  if (known.length > 0) return known;
  const [primary] = members;
  return primary !== undefined && (isLost(error) || failsPrimary.has(error.code)) ? [primary] : [];
}
