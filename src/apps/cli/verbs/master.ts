/** `cairn master`: runs until it is asked to stop. */
import { startMaster } from '../../roles/master-role.ts';
import { runRole } from '../../roles/run-role.ts';
import type { Invocation } from '../invocation.ts';

export function run({ options }: Invocation): Promise<void> {
  return runRole('master', String(options.config), startMaster);
}
