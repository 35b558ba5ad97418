/** `cairn chunkserver`: runs until it is asked to stop. */
import { startChunkserver } from '../../roles/chunkserver-role.ts';
import { runRole } from '../../roles/run-role.ts';
import type { Invocation } from '../invocation.ts';

export function run({ options }: Invocation): Promise<void> {
  return runRole('chunkserver', String(options.config), startChunkserver);
}
