/** From a path and flags to a file: what open, streams and whole-file calls have in common. */
import type { RequestOf } from '../../core/protocol/call.ts';
import type { masterCalls } from '../../core/protocol/master-calls.ts';
import { type Attributes, type Grant, type SettingsAsked, smallMutationMaxBytes } from '../../core/protocol/types.ts';
import type { AbortSignalLike } from './abort.ts';
import type { ClientCore } from './core.ts';
import { invalid, isADirectory } from './failures.ts';
import type { OpenFlags } from './file-handle.ts';
import type { FileSettings } from './limits.ts';
import { OpenFile } from './open-file.ts';

export interface CallOptions {
  readonly signal?: AbortSignalLike | undefined;
}
/** `parents`: makes directories that are missing on the way. */
export interface MakeOptions extends CallOptions, FileSettings {
  readonly parents?: boolean | undefined;
}

/** Of the settings that may be asked for, those that were. @throws CairnError INVALID_ARGUMENT: numbers that no message can carry */
export function asked(settings: FileSettings): SettingsAsked {
  checkNumbers(settings);
  const { replication, durability, chunkBytes, mode, minReplicas } = settings;
  return { replication, durability, chunkBytes, mode, minReplicas };
}

const replicasAskedMax = 0xffff;

/** What they mean is for the master to judge: here only that they arrive as they are. */
function checkNumbers({ replication, minReplicas, chunkBytes }: FileSettings): void {
  checkNumber('replication', replication, replicasAskedMax);
  checkNumber('minReplicas', minReplicas, replicasAskedMax);
  checkNumber('chunkBytes', chunkBytes, Number.MAX_SAFE_INTEGER);
}

function checkNumber(name: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= max)) return;
  throw invalid(`${name} ${value}; give an integer from 1 on`);
}

export interface Opened {
  readonly attributes: Attributes;
  /** Of the first chunk, if it was made just now. */
  readonly grant: Grant | undefined;
  /** When the attributes were asked for. */
  readonly asOf: number;
}

/** A file that is there. @throws CairnError NOT_FOUND, IS_A_DIRECTORY */
export async function statFile(core: ClientCore, path: string): Promise<Opened> {
  const asOf = core.env.clock.now();
  const attributes = await core.masters.read('stat', { path });
  if (attributes.kind === 'directory') throw isADirectory(path);
  return { attributes, grant: undefined, asOf };
}

export function fileOf(core: ClientCore, { attributes, asOf, grant }: Opened): OpenFile {
  return new OpenFile(core, attributes, asOf, grant);
}

/** What is known of the bytes that will follow: nothing, that there are some, or that they are few. */
export type Expected = 'unknown' | 'some' | 'few';

/** Of so many bytes, if they are to begin where the file does. */
export function expectedOf(bytes: number | undefined): Expected {
  if (bytes === 0) return 'unknown';
  return bytes !== undefined && bytes <= smallMutationMaxBytes ? 'few' : 'some';
}

/** If bytes will certainly follow, the first chunk is made along with the file. */
export function openAs(
  core: ClientCore,
  path: string,
  flags: OpenFlags,
  expected: Expected,
  options: MakeOptions,
): Promise<Opened> {
  switch (flags) {
    case 'r':
    case 'r+':
      return statFile(core, path);
    case 'w':
    case 'w+':
      return makeFile(core, path, { create: 'ifMissing', truncate: true, expected }, options);
    case 'wx':
    case 'wx+':
      return makeFile(core, path, { create: 'exclusive', truncate: false, expected }, options);
    case 'a':
    case 'a+':
      return makeFile(core, path, { create: 'ifMissing', truncate: false, expected: 'unknown' }, options);
    default:
      throw invalid(`'${String(flags satisfies never)}' is not how a file is opened; use r, r+, w, wx or a`);
  }
}

type HowToMake = Pick<RequestOf<(typeof masterCalls)['openForWrite']>, 'create' | 'truncate'> & {
  readonly expected: Expected;
};

export async function makeFile(
  core: ClientCore,
  path: string,
  { create, truncate, expected }: HowToMake,
  options: MakeOptions,
): Promise<Opened> {
  checkNumbers(options);
  const asOf = core.env.clock.now();
  const { replication, durability, chunkBytes, mode, minReplicas } = options;
  // Field by field, as it is written: to spread one object into another costs more than to send it.
  const { attributes, grant } = await core.masters.commandAs(
    'openForWrite',
    (id) => ({
      id,
      path,
      create,
      truncate,
      allocate: expected !== 'unknown',
      parents: options.parents ?? false,
      replication,
      durability,
      chunkBytes,
      mode,
      minReplicas,
      isSmall: expected === 'few',
    }),
    { signal: options.signal },
  );
  return { attributes, grant, asOf };
}
