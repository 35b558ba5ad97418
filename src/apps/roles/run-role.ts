/**
 * What every long-running process of a cluster does alike: reads its configuration, claims and locks its directory, writes events, starts,
 * and ends on SIGTERM, on the end of its supervisor, or when its disk fails.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { resolve } from 'node:path';
import { type Address, toAddress } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, errorTable, toCairnError } from '../../core/base/errors.ts';
import type { EngineName } from '../../core/consensus/index.ts';
import { lockDirectory } from '../../platform/node/directory-lock.ts';
import { openEvents } from '../../platform/node/events.ts';
import { makeDirectory } from '../../platform/node/make-directory.ts';
import { nodeEnv } from '../../platform/node/node-env.ts';
import type { MasterAddress } from '../../system/master/options.ts';
import { metadataRules } from '../../system/master/state/metadata-machine.ts';
import { parseSettings, type Settings } from '../config/settings.ts';
import { engineDefault } from './engines.ts';
import { claimDirectory, engineOfDirectory } from './identity.ts';

/** A session outlives this many heartbeats. */
export const heartbeatsPerSession = 4;

export interface RoleContext {
  readonly env: Env;
  readonly settings: Settings;
  readonly cluster: string;
  readonly id: number;
  readonly dir: string;
  readonly address: Address;
  readonly rack: string;
  readonly masters: readonly MasterAddress[];
  /** A master's. */
  readonly engine: EngineName;
  /** The process cannot go on: ends it with the error's exit code. */
  fail(error: CairnError): void;
}

export interface Running {
  stop(): Promise<void>;
}

export function readSettingsFile(file: string): Settings {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CairnError('CONFIG_INVALID', `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  return parseSettings(source, file);
}

export async function runRole(
  role: 'master' | 'chunkserver',
  configFile: string,
  start: (context: RoleContext) => Promise<Running>,
): Promise<void> {
  const settings = readSettingsFile(configFile);
  const { node, cluster, masters = [] } = settings;
  if (node === undefined || cluster === undefined || masters.length === 0)
    throw new CairnError(
      'CONFIG_INVALID',
      `${configFile}: a ${role} needs the keys cluster, masters and node; see docs/operations.md`,
    );
  const dir = resolve(node.dir);
  const addresses = masters.map(({ id, address }) => ({ id, address: toAddress(address) }));
  const address = ownAddress(role, node, addresses, configFile);
  makeDirectory(dir);
  const lock = await lockDirectory(dir);
  try {
    const engine = engineOfDirectory(dir, settings.engine) ?? engineDefault;
    claimDirectory(dir, { cluster, role, id: node.id, ...(role === 'master' ? { engine, rules: metadataRules } : {}) });
    const given = { cluster, dir, address, masters: addresses, engine };
    await untilEnded(start, (fail) => makeContext(role, settings, { ...given, fail }));
  } finally {
    await lock.release();
  }
}

function ownAddress(
  role: string,
  node: NonNullable<Settings['node']>,
  masters: readonly MasterAddress[],
  configFile: string,
): Address {
  if (role === 'master') {
    const own = masters.find(({ id }) => id === node.id);
    if (own !== undefined) return own.address;
    if (node.address !== undefined) return toAddress(node.address); // it is to be added to a group that exists
    throw new CairnError(
      'CONFIG_INVALID',
      `${configFile}: node.id ${node.id} is not among the masters; add it there, or, if it is to join a cluster that runs, give node.address`,
    );
  }
  if (node.address === undefined)
    throw new CairnError('CONFIG_INVALID', `${configFile}: a chunkserver needs node.address, where others reach it`);
  return toAddress(node.address);
}

type Given = Pick<RoleContext, 'cluster' | 'dir' | 'address' | 'masters' | 'engine' | 'fail'>;

async function makeContext(role: string, settings: Settings, given: Given): Promise<RoleContext> {
  const { id, rack } = settings.node!;
  const events = await openEvents({ level: settings.log.level, destination: 1, base: { role, id } });
  const env = nodeEnv({ dir: given.dir, events, disk: { extraFlushMs: settings.disk.extra_flush } });
  return { env, settings, id, rack, ...given };
}

/** Starts (which may take until others are there), waits for the end, stops. Sets the exit code. */
async function untilEnded(
  start: (context: RoleContext) => Promise<Running>,
  makeIt: (fail: (error: CairnError) => void) => Promise<RoleContext>,
): Promise<void> {
  let end: (error?: CairnError) => void = () => {};
  const ended = new Promise<CairnError | undefined>((settle) => {
    end = settle;
  });
  const context = await makeIt((error) => end(error));
  onStopRequest(() => end());
  const starting = start(context);
  const running = await Promise.race([starting, ended.then(() => undefined)]);
  const error = await ended;
  context.env.events.emit(error === undefined ? 'info' : 'error', 'process_stopping', {
    why: error === undefined ? 'asked to stop' : error.message,
  });
  try {
    await running?.stop();
  } catch (thrown) {
    // After a failed disk a clean stop is not to be had: the first error is the one to report.
    if (error === undefined) throw thrown;
    context.env.events.emit('error', 'process_stop_failed', { why: toCairnError(thrown).message });
  }
  if (error !== undefined) {
    process.exitCode = errorTable[error.code].exit;
    throw error;
  }
}

function onStopRequest(stop: () => void): void {
  process.once('SIGTERM', stop);
  if (process.env.CAIRN_SUPERVISED === undefined) {
    process.once('SIGINT', stop);
    return;
  }
  process.on('SIGINT', () => {}); // Ctrl-C reaches the whole group; the supervisor stops us in its order
  process.stdin.once('close', stop).resume();
  // A role lives by its sockets and its disk; listening to its supervisor must not keep it when those are closed.
  (process.stdin as Partial<Socket>).unref?.();
}
