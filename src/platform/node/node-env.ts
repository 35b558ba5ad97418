/** The Env of a real process. */
import { mkdirSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { Env, Events } from '../../core/base/env.ts';
import { nodeClock } from './clock.ts';
import { type DiskOptions, nodeDisk } from './disk.ts';
import { silentEvents } from './events.ts';
import { type NetworkOptions, nodeNetwork } from './network.ts';
import { nodeRandom } from './random.ts';

export interface NodeEnvOptions {
  /** The root of the disk; it is made if it is missing. */
  readonly dir: string;
  readonly events?: Events;
  readonly disk?: DiskOptions;
  readonly network?: NetworkOptions;
}

export function nodeEnv(options: NodeEnvOptions): Env {
  const events = options.events ?? silentEvents;
  mkdirSync(options.dir, { recursive: true });
  return {
    clock: nodeClock(),
    random: nodeRandom(),
    disk: nodeDisk(options.dir, options.disk),
    network: nodeNetwork(events, options.network),
    events,
    crc32,
  };
}
