// Installs and builds what is missing, and is done in a moment when nothing is. Progress goes to stderr only,
// because commands that print documents run this first. Needs nothing but Node and npm.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.mjs';
import { withLock } from './lock.mjs';

/** @typedef {{ version?: string, optional?: boolean, devOptional?: boolean, link?: boolean }} LockedPackage */

const nodeMinimum = [20, 19];

try {
  requireNode();
  if (!(await isReady())) await withLock(join(root, '.setup-lock.tmp'), makeReady);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function makeReady() {
  if (!isInstalled()) install();
  const { build, isBuilt } = await import('./build.mjs');
  if (isBuilt()) return;
  say('building');
  await build();
}

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [wantMajor = 0, wantMinor = 0] = nodeMinimum;
  if (major > wantMajor || (major === wantMajor && minor >= wantMinor)) return;
  throw new Error(`Node ${nodeMinimum.join('.')} or newer is needed, this is ${process.versions.node}`);
}

async function isReady() {
  if (!isInstalled()) return false;
  const { isBuilt } = await import('./build.mjs');
  return isBuilt();
}

/** Whether node_modules holds every package of the lock file in its version (optional ones may be missing). */
function isInstalled() {
  const installed = installedPackages();
  if (installed === undefined) return false;
  const wanted = packagesOf(join(root, 'package-lock.json'));
  return Object.entries(wanted).every(([path, { version, optional, devOptional }]) => {
    if (path === '') return true;
    const here = installed[path];
    return here === undefined ? optional === true || devOptional === true : here.version === version;
  });
}

/** @returns {Record<string, LockedPackage> | undefined} undefined if there is no list, or only a part of it: npm may be writing it just now */
function installedPackages() {
  const path = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(path)) return undefined;
  try {
    return packagesOf(path);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** @returns {Record<string, LockedPackage>} */
function packagesOf(/** @type {string} */ lockPath) {
  return JSON.parse(readFileSync(lockPath, 'utf8')).packages;
}

/**
 * `npm ci` refuses a lock file that names optional packages of other platforms which a registry does not carry;
 * `npm install` takes the same versions from the same file without that complaint.
 */
function install() {
  say('installing packages');
  const isFirst = !existsSync(join(root, 'node_modules'));
  if (isFirst && runNpm(['ci'], 'ignore')) return;
  if (runNpm(['install', '--no-save'], 'inherit')) return;
  throw new Error('npm could not install the packages; its message is above');
}

/** @returns {boolean} whether npm succeeded. Its output goes to stderr, or nowhere. */
function runNpm(/** @type {string[]} */ args, /** @type {'ignore' | 'inherit'} */ output) {
  const stderr = output === 'inherit' ? 2 : 'ignore';
  const { status, error } = spawnSync('npm', args, {
    cwd: root,
    stdio: ['ignore', stderr, stderr],
    shell: process.platform === 'win32',
  });
  if (error) throw new Error(`npm did not start: ${error.message}`, { cause: error });
  return status === 0;
}

function say(/** @type {string} */ what) {
  process.stderr.write(`setup: ${what}\n`);
}
