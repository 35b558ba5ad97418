/** What a lease needs of its server. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { masterCalls } from '../../core/protocol/master-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { CopyWorld } from './cloning.ts';
import type { Limits } from './limits.ts';
import type { ReplicaLinks } from './replica-link.ts';
import type { Session } from './session.ts';

export interface LeaseWorld extends CopyWorld {
  readonly env: Env;
  readonly self: ServerId;
  readonly limits: Limits;
  readonly links: ReplicaLinks;
  /** Without it another server may be the primary of what this one is. */
  readonly session: Pick<Session, 'isValid'>;
  /** To be told when a chunk has grown for its readers, or its lease has begun or ended. */
  readonly changed: (handle: ChunkHandle) => void;
  /** Asks the master for a grant without the servers that failed. @throws CairnError when it cannot be had in time */
  readonly exclude: (request: RequestOf<(typeof masterCalls)['exclude']>) => Promise<Grant>;
}
