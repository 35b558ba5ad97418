/**
 * Names of what the lab makes outside its own memory carry its pid; so what a lab left behind that was killed (kill -9, a power failure) is
 * known by its name, and the next one removes it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from './process/cpu.ts';

const prefix = 'cairn-lab-';
const namespaceFolder = '/run/netns';

/** A name that this lab may use. */
export function ownName(name: string): string {
  return `${prefix}${process.pid}-${name}`;
}

/** Where file systems are mounted below a folder, the innermost first. */
export function mountsBelow(folder: string): string[] {
  const places = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) =>
      (line.split(' ')[1] ?? '').replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
  return places.filter((place) => place.startsWith(`${folder}/`)).toReversed();
}

/** Unmounts and removes directories, and removes network namespaces of labs that are no more. @returns their names */
export function removeLeftovers(scratch: string): string[] {
  const directories = leftIn(scratch);
  for (const name of directories) {
    for (const mounted of mountsBelow(join(scratch, name))) execFileSync('umount', ['--lazy', mounted]);
    rmSync(join(scratch, name), { recursive: true, force: true });
  }
  const namespaces = existsSync(namespaceFolder) ? leftIn(namespaceFolder) : [];
  for (const name of namespaces) execFileSync('ip', ['netns', 'delete', name]);
  return [...directories, ...namespaces];
}

function leftIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => {
    const match = new RegExp(`^${prefix}(\\d+)-`).exec(name);
    return match !== null && !isAlive(Number(match[1]));
  });
}
