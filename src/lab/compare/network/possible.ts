/** Whether networks can be made here. */
import { execFileSync, spawnSync } from 'node:child_process';
import { ownName } from '../leftovers.ts';

/** Why not, and what would help; undefined: they can. A namespace is made, and removed. */
export function whyNoNetworks(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root; use sudo';
  for (const program of ['ip', 'tc'])
    if (spawnSync(program, ['-V'], { stdio: 'ignore' }).error !== undefined)
      return `the program ${program} is missing; install the package iproute2`;
  const name = ownName('trial');
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (made.status !== 0) {
    spawnSync('ip', ['netns', 'delete', name]); // a part of it may be there
    return `no network namespace can be made here (${made.stderr.trim()}); a container must be privileged`;
  }
  execFileSync('ip', ['netns', 'delete', name]);
  return undefined;
}
