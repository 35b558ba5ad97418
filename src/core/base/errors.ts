/**
 * The one table of error codes. Each code says, for every door, what it is there, so that the doors cannot disagree:
 * whether a client may try again, HTTP status, S3 code, WebHDFS exception, errno and the exit code of the CLI.
 * The world failing is a thrown `CairnError`; an expected outcome of a protocol is a `Result` with one of these codes.
 */

/**
 * What a client should do about an error:
 * `never` do not repeat, it will fail the same way; `later` the same request may succeed after a pause;
 * `relocate` ask the master again (leader, lease or replicas have moved), then repeat; `unknown` the request may
 * have taken effect: repeat only with the same session and sequence.
 */
export type RetryAdvice = 'never' | 'later' | 'relocate' | 'unknown';

export interface ErrorRow {
  readonly retry: RetryAdvice;
  readonly http: number;
  readonly s3: string;
  readonly webhdfs: string;
  readonly errno: string;
  readonly exit: number;
}

function row(retry: RetryAdvice, http: number, s3: string, webhdfs: string, errno: string, exit: number): ErrorRow {
  return { retry, http, s3, webhdfs, errno, exit };
}

export const errorTable = {
  // the request
  USAGE: row('never', 400, 'InvalidArgument', 'IllegalArgumentException', 'EINVAL', 2),
  INVALID_ARGUMENT: row('never', 400, 'InvalidArgument', 'IllegalArgumentException', 'EINVAL', 3),
  INVALID_NAME: row('never', 400, 'InvalidArgument', 'InvalidPathException', 'EINVAL', 3),
  NAME_TOO_LONG: row('never', 400, 'KeyTooLongError', 'PathComponentTooLongException', 'ENAMETOOLONG', 3),
  RECORD_TOO_LARGE: row('never', 400, 'EntityTooLarge', 'IllegalArgumentException', 'EMSGSIZE', 3),
  TOO_LARGE: row('never', 413, 'EntityTooLarge', 'IllegalArgumentException', 'EFBIG', 3),
  NOT_SUPPORTED: row('never', 501, 'NotImplemented', 'UnsupportedOperationException', 'ENOTSUP', 3),
  // the namespace
  NOT_FOUND: row('never', 404, 'NoSuchKey', 'FileNotFoundException', 'ENOENT', 4),
  EXISTS: row('never', 409, 'PreconditionFailed', 'FileAlreadyExistsException', 'EEXIST', 5),
  NOT_A_DIRECTORY: row('never', 409, 'InvalidArgument', 'ParentNotDirectoryException', 'ENOTDIR', 6),
  IS_A_DIRECTORY: row('never', 409, 'InvalidArgument', 'PathIsDirectoryException', 'EISDIR', 6),
  NOT_EMPTY: row('never', 409, 'InvalidArgument', 'PathIsNotEmptyDirectoryException', 'ENOTEMPTY', 6),
  INTO_ITSELF: row('never', 409, 'InvalidArgument', 'IllegalArgumentException', 'EINVAL', 6),
  LOOP: row('never', 409, 'InvalidArgument', 'IOException', 'ELOOP', 6),
  STALE_HANDLE: row('never', 410, 'NoSuchKey', 'FileNotFoundException', 'ESTALE', 4),
  // the cluster
  NOT_LEADER: row('relocate', 503, 'SlowDown', 'StandbyException', 'EAGAIN', 7),
  NO_QUORUM: row('later', 503, 'ServiceUnavailable', 'RetriableException', 'EAGAIN', 7),
  WOULD_LOSE_QUORUM: row('never', 409, 'ServiceUnavailable', 'RetriableException', 'EBUSY', 7),
  UNAVAILABLE: row('later', 503, 'ServiceUnavailable', 'RetriableException', 'EAGAIN', 7),
  TIMED_OUT: row('unknown', 504, 'RequestTimeout', 'RetriableException', 'ETIMEDOUT', 8),
  UNKNOWN_OUTCOME: row('unknown', 503, 'InternalError', 'IOException', 'EIO', 8),
  TOO_OLD: row('later', 503, 'ServiceUnavailable', 'RetriableException', 'EAGAIN', 7),
  SESSION_EXPIRED: row('never', 409, 'InternalError', 'IOException', 'EIO', 8),
  BUSY: row('later', 503, 'SlowDown', 'RetriableException', 'EBUSY', 7),
  ABORTED: row('never', 499, 'RequestTimeout', 'IOException', 'ECANCELED', 9),
  CONNECTION_LOST: row('unknown', 503, 'ServiceUnavailable', 'RetriableException', 'ECONNRESET', 8),
  // chunks
  NOT_PRIMARY: row('relocate', 503, 'SlowDown', 'RetriableException', 'EAGAIN', 7),
  STALE_VERSION: row('relocate', 503, 'SlowDown', 'RetriableException', 'EAGAIN', 7),
  LEASE_EXPIRED: row('relocate', 503, 'SlowDown', 'RetriableException', 'EAGAIN', 7),
  CHUNK_FULL: row('relocate', 503, 'SlowDown', 'RetriableException', 'EAGAIN', 7),
  CHUNK_CUT: row('relocate', 503, 'SlowDown', 'RetriableException', 'EAGAIN', 7),
  CHUNK_MISSING: row('relocate', 503, 'SlowDown', 'RetriableException', 'EIO', 10),
  REPLICA_FAILED: row('relocate', 503, 'SlowDown', 'RetriableException', 'EIO', 7),
  NO_SERVERS: row('later', 503, 'ServiceUnavailable', 'IOException', 'ENOSPC', 7),
  DATA_LOST: row('never', 500, 'InternalError', 'BlockMissingException', 'EIO', 10),
  // disks
  DISK_FULL: row('relocate', 507, 'InsufficientStorage', 'DSQuotaExceededException', 'ENOSPC', 11),
  DISK_FAILED: row('relocate', 500, 'InternalError', 'IOException', 'EIO', 10),
  DISK_CORRUPT: row('relocate', 500, 'InternalError', 'ChecksumException', 'EIO', 10),
  LOG_CORRUPT: row('never', 500, 'InternalError', 'IOException', 'EIO', 10),
  // starting and speaking
  CONFIG_INVALID: row('never', 400, 'InvalidArgument', 'IllegalArgumentException', 'EINVAL', 2),
  DIR_IN_USE: row('never', 409, 'InternalError', 'IOException', 'EBUSY', 12),
  WRONG_CLUSTER: row('never', 409, 'InternalError', 'IOException', 'EINVAL', 12),
  WRONG_FORMAT: row('never', 409, 'InternalError', 'IOException', 'EINVAL', 12),
  NOT_A_MEMBER: row('never', 409, 'InternalError', 'IOException', 'EINVAL', 12),
  DUPLICATE_ID: row('never', 409, 'InternalError', 'IOException', 'EINVAL', 12),
  PORT_IN_USE: row('never', 409, 'InternalError', 'IOException', 'EADDRINUSE', 12),
  PROTOCOL: row('never', 400, 'InvalidRequest', 'IOException', 'EPROTO', 13),
  CHECKSUM_MISMATCH: row('later', 400, 'BadDigest', 'ChecksumException', 'EIO', 10),
  LOCAL_IO: row('never', 500, 'InternalError', 'IOException', 'EIO', 14),
  INTERNAL: row('never', 500, 'InternalError', 'IOException', 'EIO', 1),
} as const satisfies Readonly<Record<string, ErrorRow>>;

export type ErrorCode = keyof typeof errorTable;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorTable, text);
}

/** The world failing, at an async edge. `message` says what happened and, after a semicolon, what to do. */
export class CairnError extends Error {
  override readonly name = 'CairnError';
  readonly code: ErrorCode;
  /** For programs: the leader's address with NOT_LEADER, the handle of a damaged chunk; else empty. */
  readonly hint: string;
  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown; readonly hint?: string }) {
    super(message, options);
    this.code = code;
    this.hint = options?.hint ?? '';
  }
  get retry(): RetryAdvice {
    return errorTable[this.code].retry;
  }
}

/** Any thrown value as a CairnError; what is not one already is a bug of ours or the platform's: INTERNAL. */
export function toCairnError(thrown: unknown): CairnError {
  if (thrown instanceof CairnError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CairnError('INTERNAL', message, { cause: thrown });
}
