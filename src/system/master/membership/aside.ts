/** Damaged logs are kept, never deleted: moved aside under the time at which that was done. */
import type { Disk, Env } from '../../../core/base/env.ts';

/** Whether a log was ever made in the directory. */
export async function holdsLog(disk: Disk, directory: string): Promise<boolean> {
  return (await namesIn(disk, directory)).some((name) => name.endsWith('.wal'));
}

/**
 * Moves those of the directories that hold something into a new one, `damaged-<time>`; durable when it resolves.
 * @returns its name, or undefined if there was nothing to move
 */
export async function asideIfThere(env: Env, directories: readonly string[]): Promise<string | undefined> {
  const { disk } = env;
  const full: string[] = [];
  for (const directory of directories) if ((await namesIn(disk, directory)).length > 0) full.push(directory);
  if (full.length === 0) return undefined;
  const aside = await freeName(disk, `damaged-${stamp(env.clock.wallNow())}`);
  await disk.makeDirectory(aside);
  await disk.syncDirectory('');
  for (const directory of full) await disk.rename(directory, `${aside}/${directory}`);
  await disk.syncDirectory(aside);
  await disk.syncDirectory('');
  return aside;
}

async function namesIn(disk: Disk, directory: string): Promise<readonly string[]> {
  return (await disk.exists(directory)) ? disk.list(directory) : [];
}

async function freeName(disk: Disk, wanted: string): Promise<string> {
  let name = wanted;
  for (let n = 2; await disk.exists(name); n++) name = `${wanted}-${n}`;
  return name;
}

/** 2026-01-31T23:59:59.123Z without what file systems or shells might mind. */
function stamp(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(/[-:]/g, '').replace(/\..*/, 'Z');
}
