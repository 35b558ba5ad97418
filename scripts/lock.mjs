import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const pollMs = 100;
const waitMaxMs = 10 * 60_000;

/**
 * Runs `work` while holding the lock file, which contains the holder's process id.
 * The lock of a process that no longer lives is taken over.
 * @template T
 * @param {string} path
 * @param {() => T | Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, work) {
  const own = `${path}.${randomUUID()}.tmp`;
  writeFileSync(own, String(process.pid));
  try {
    await acquire(own, path);
  } finally {
    rmSync(own, { force: true });
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** A hard link appears with its content in one step, so nobody ever reads a lock without its holder. */
async function acquire(/** @type {string} */ own, /** @type {string} */ path) {
  const deadlineMs = Date.now() + waitMaxMs;
  for (;;) {
    try {
      linkSync(own, path);
      return;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    const holder = holderOf(path);
    if (holder !== undefined && !isAlive(holder)) removeOfDead(own, path, holder);
    else if (Date.now() > deadlineMs)
      throw new Error(`process ${holder} has held ${path} for ${waitMaxMs / 60_000} minutes`);
    else await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Only one waiter at a time may remove, and only what is still the dead holder's: not the lock another waiter took since. */
function removeOfDead(/** @type {string} */ own, /** @type {string} */ path, /** @type {number} */ holder) {
  const right = `${path}.takeover.tmp`;
  try {
    linkSync(own, right);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return;
    throw error;
  }
  if (holderOf(path) === holder) rmSync(path, { force: true });
  rmSync(right);
}

/** @returns the holder's process id; undefined when the lock went away meanwhile. */
function holderOf(/** @type {string} */ path) {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(/** @type {number} */ pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function codeOf(/** @type {unknown} */ error) {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
