/**
 * MooseFS, where it is installed: a master and three chunkservers in a network namespace of their own (its chunkservers refuse 127.x),
 * mounted twice, every file on three copies. Its processes end with the experiment, its mounts go.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Lab } from '../experiment.ts';
import { until } from '../groups/group.ts';
import { ownName } from '../leftovers.ts';
import { ip } from '../network/ip.ts';
import { OwnedProcess } from '../process/owned-process.ts';
import type { Scope } from '../scope.ts';

const address = '10.215.0.1';
const chunkservers = 3;
const copies = 3;
/** Its default. */
const clientPort = 9421;
const firstServerPort = 9430;
const readyDeadlineMs = 60_000;
/** Its processes write down what they have when they are told to end. */
const stopPatienceMs = 5000;
const programs = ['mfsmaster', 'mfschunkserver', 'mfsmount', 'mfssetgoal', 'mfscheckfile'];

/** What is missing, or what stands against it; undefined: it can run. */
export function whyNoMooseFs(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  const missing = programs.filter((program) => !folders.some((folder) => existsSync(join(folder, program))));
  if (missing.length > 0) return 'not installed (Debian packages moosefs-master, moosefs-chunkserver, moosefs-client)';
  return existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse';
}

export function mooseFsVersion(): string {
  const said = execFileSync('mfsmaster', ['-v'], { encoding: 'utf8' });
  return /version: (\S+)/.exec(said)?.[1] ?? 'unknown';
}

export class MooseFs {
  /** Where it is mounted. */
  readonly mounts: readonly [writing: string, reading: string];

  private constructor(mounts: readonly [string, string]) {
    this.mounts = mounts;
  }

  static async start(lab: Lab, scope: Scope): Promise<MooseFs> {
    const directory = await lab.directory(scope);
    const namespace = ownName('moosefs');
    await scope.add(() => ip([`netns delete ${namespace}`]));
    ip([`netns add ${namespace}`]);
    ip(['link set lo up', `address add ${address}/24 dev lo`], namespace);
    const world = { scope, directory, namespace };
    await startMaster(world);
    for (let id = 1; id <= chunkservers; id++) await startChunkserver(world, id);
    const writing = await mountAt(world, 'writing');
    inside(namespace, 'mfssetgoal', ['-r', String(copies), writing]);
    await until('MooseFS stores three copies', readyDeadlineMs, async () => storesCopies(namespace, writing));
    return new MooseFs([writing, await mountAt(world, 'reading')]);
  }
}

interface World {
  readonly scope: Scope;
  readonly directory: string;
  readonly namespace: string;
}

function inside(namespace: string, command: string, args: readonly string[]): string {
  return execFileSync('nsenter', [`--net=/run/netns/${namespace}`, command, ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
}

function configure(directory: string, name: string, settings: Readonly<Record<string, string | number>>): string {
  const file = join(directory, `${name}.cfg`);
  const all = { WORKING_USER: 'root', WORKING_GROUP: 'root', ...settings };
  writeFileSync(
    file,
    Object.entries(all)
      .map(([key, value]) => `${key} = ${value}\n`)
      .join(''),
  );
  return file;
}

function start({ scope, directory, namespace }: World, name: string, command: string, args: readonly string[]) {
  const logFile = join(directory, `${name}.log`);
  return OwnedProcess.start(scope, { name: `MooseFS ${name}`, command, args, logFile, namespace, stopPatienceMs });
}

async function startMaster(world: World): Promise<void> {
  const data = join(world.directory, 'master');
  mkdirSync(data);
  writeFileSync(join(data, 'metadata.mfs'), 'MFSM NEW'); // an empty file system
  const exports = join(world.directory, 'exports.cfg');
  writeFileSync(exports, '* / rw,alldirs,admin,maproot=0:0\n');
  const listen = { MATOML_LISTEN_HOST: address, MATOCS_LISTEN_HOST: address, MATOCL_LISTEN_HOST: address };
  const config = configure(world.directory, 'master', { DATA_PATH: data, EXPORTS_FILENAME: exports, ...listen });
  const { pid } = await start(world, 'master', 'mfsmaster', ['-f', '-c', config, 'start']);
  const listening = `:${clientPort.toString(16).toUpperCase()} 00000000:0000 0A`;
  await until('the master of MooseFS listens', readyDeadlineMs, async () =>
    readFileSync(`/proc/${pid}/net/tcp`, 'utf8').includes(listening) ? true : undefined,
  );
}

async function startChunkserver(world: World, id: number): Promise<void> {
  const [data, disk] = [join(world.directory, `chunkserver-${id}`), join(world.directory, `disk-${id}`)];
  for (const made of [data, disk]) mkdirSync(made);
  const disks = join(world.directory, `disks-${id}.cfg`);
  writeFileSync(disks, `${disk}\n`);
  const config = configure(world.directory, `chunkserver-${id}`, {
    DATA_PATH: data,
    HDD_CONF_FILENAME: disks,
    MASTER_HOST: address,
    MASTER_RECONNECTION_DELAY: 1,
    BIND_HOST: address,
    CSSERV_LISTEN_HOST: address,
    CSSERV_LISTEN_PORT: firstServerPort + id,
  });
  await start(world, `chunkserver-${id}`, 'mfschunkserver', ['-f', '-c', config, 'start']);
}

/** @returns where */
async function mountAt(world: World, name: string): Promise<string> {
  const place = join(world.directory, name);
  mkdirSync(place);
  await world.scope.add(() => unmount(place));
  const mount = await start(world, name, 'mfsmount', ['-f', '-H', address, place]);
  await until('MooseFS is mounted', readyDeadlineMs, async () => {
    if (!mount.isRunning) throw new Error(`mfsmount ended\n${mount.lastWords()}`);
    return isMounted(place) ? true : undefined;
  });
  return place;
}

/** A file that is written has its three copies: all chunkservers have come. */
function storesCopies(namespace: string, mount: string): true | undefined {
  const trial = join(mount, 'trial');
  try {
    writeFileSync(trial, 'trial');
  } catch (error) {
    if (['ENOSPC', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined; // there is none yet
    throw error;
  }
  const isWhole = inside(namespace, 'mfscheckfile', [trial]).includes(`chunks with ${copies} copies:`);
  rmSync(trial);
  return isWhole ? true : undefined;
}

function isMounted(place: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${place} fuse`);
}

function unmount(place: string): void {
  if (isMounted(place)) execFileSync('umount', ['--lazy', place]);
}
