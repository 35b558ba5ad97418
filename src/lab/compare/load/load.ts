/** The loading process, as an experiment sees it. */
import { join } from 'node:path';
import { Asking } from '../process/asking.ts';
import { nodePlan, OwnedProcess } from '../process/owned-process.ts';
import type { Scope } from '../scope.ts';
import type { LoadAnswers } from './loader.ts';

export interface LoadOptions {
  readonly directory: string;
  readonly namespace?: string;
  readonly profileDir?: string;
}

export async function startLoad(scope: Scope, options: LoadOptions): Promise<Asking<LoadAnswers>> {
  const { directory, namespace, profileDir } = options;
  const plan = {
    name: 'the load',
    logFile: join(directory, 'load.log'),
    ...(namespace === undefined ? {} : { namespace }),
  };
  return new Asking<LoadAnswers>(await OwnedProcess.start(scope, nodePlan('load', plan, profileDir)));
}
