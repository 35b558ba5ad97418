/**
 * One process per directory. The lock is a listening socket in the directory: the kernel ends it with its process,
 * whichever way that dies, and `connect` tells a living one from a dead one across containers and without process numbers
 * that come round again.
 *
 * Each contender first puts up its own socket (`lock.<pid>.<random>`; bound under another name and renamed, so that one
 * with this name has always been listening), then looks at the others'. Of two contenders the one that looks last sees
 * the other's, so two never both win; they may both lose, and then try again after different pauses. A dead socket never
 * comes to life again, so anybody may remove it.
 */
import { randomBytes, randomInt } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import { join } from 'node:path';
import { CairnError } from '../../core/base/errors.ts';
import { diskError, errnoOf } from './disk-errors.ts';

export interface DirectoryLock {
  release(): Promise<void>;
}

const attemptsMax = 6;
const pauseMaxMs = 40;
/** A socket that was bound and never renamed is a crash's remains when it is as old as this. */
const remainsAfterMs = 60_000;
/** The bound on a socket's path (sun_path), less the closing zero. */
const socketPathMaxBytes = 107;

const lockName = /^lock\.(\d+)\.[0-9a-f]+$/;
const bindingName = /^lock-binding\.\d+\.[0-9a-f]+$/;

/**
 * Takes `dir`, which must exist, for this process until `release` or the process's death.
 * @throws CairnError DIR_IN_USE naming the process that has it; NOT_FOUND; DISK_FAILED where the file system takes no sockets
 */
export async function lockDirectory(dir: string): Promise<DirectoryLock> {
  for (let attempt = 1; ; attempt++) {
    const own = await putUp(dir);
    let holder: string | undefined;
    try {
      holder = await livingOther(dir, own.name);
      if (holder === undefined) return own;
    } catch (thrown) {
      await own.release();
      throw thrown;
    }
    await own.release();
    if (attempt === attemptsMax) {
      throw new CairnError('DIR_IN_USE', `${dir} is in use by process ${holder}; stop it, or choose another directory`);
    }
    await new Promise((resolve) => setTimeout(resolve, randomInt(1, pauseMaxMs)));
  }
}

interface OwnSocket extends DirectoryLock {
  readonly name: string;
}

async function putUp(dir: string): Promise<OwnSocket> {
  const suffix = `${process.pid}.${randomBytes(8).toString('hex')}`;
  const name = `lock.${suffix}`;
  const binding = `lock-binding.${suffix}`;
  const server = net.createServer((socket) => socket.destroy());
  const closed = () => new Promise<void>((resolve) => server.close(() => resolve()));
  try {
    // By itself, since a bind to a path that is not there reports that as a lack of permission.
    await fs.promises.access(dir);
    await withShortPath(dir, binding, (path) => listen(server, path));
  } catch (thrown) {
    throw diskError(`lock of ${dir}`, thrown);
  }
  server.unref();
  try {
    await fs.promises.rename(join(dir, binding), join(dir, name));
  } catch (thrown) {
    await closed();
    throw diskError(`lock of ${dir}`, thrown);
  }
  return {
    name,
    release: async () => {
      await fs.promises.rm(join(dir, name), { force: true });
      await closed();
    },
  };
}

function listen(server: net.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, () => {
      server.removeListener('error', reject);
      // A connection that could not be accepted has still found the lock alive.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

/** The process that listens behind another lock in `dir`, if any; removes the locks of the dead on the way. */
async function livingOther(dir: string, ownName: string): Promise<string | undefined> {
  for (const name of await namesIn(dir)) {
    if (bindingName.test(name)) await removeRemains(join(dir, name));
    const pid = lockName.exec(name)?.[1];
    if (pid === undefined || name === ownName) continue;
    if (await isAlive(dir, name)) return pid;
    await fs.promises.rm(join(dir, name), { force: true });
  }
  return undefined;
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await fs.promises.readdir(dir);
  } catch (thrown) {
    throw diskError(`lock of ${dir}`, thrown);
  }
}

async function removeRemains(path: string): Promise<void> {
  try {
    const stat = await fs.promises.stat(path);
    if (Date.now() - stat.ctimeMs > remainsAfterMs) await fs.promises.rm(path, { force: true });
  } catch (thrown) {
    if (errnoOf(thrown) !== 'ENOENT') throw diskError(`look at ${path}`, thrown);
  }
}

function isAlive(dir: string, name: string): Promise<boolean> {
  return withShortPath(
    dir,
    name,
    (path) =>
      new Promise((resolve) => {
        const socket = net.connect({ path });
        socket.once('connect', () => {
          socket.destroy();
          resolve(true);
        });
        // Only these two mean that nobody listens; whatever else went wrong, the lock counts as held.
        socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(errnoOf(error))));
      }),
  );
}

/** Runs `use` with a path to `name` that a socket address can hold, by way of an open descriptor if it is too long. */
async function withShortPath<T>(dir: string, name: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = join(dir, name);
  if (Buffer.byteLength(path) <= socketPathMaxBytes) return use(path);
  const directory = await fs.promises.open(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    return await use(`/proc/self/fd/${directory.fd}/${name}`);
  } finally {
    await directory.close();
  }
}
