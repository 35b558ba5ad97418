/** The host of simulations that run in tests, and worlds on it. */
import { crc32 } from 'node:zlib';
import { type SimHost, taskHost } from './kernel.ts';
import { SimWorld, type SimWorldOptions } from './world.ts';

/** In Node a task of setImmediate runs after all promise jobs. */
export const nodeHost: SimHost = taskHost(setImmediate, globalThis);

export function testWorld(seed: number | string, options: Partial<SimWorldOptions> = {}): SimWorld {
  return new SimWorld({ seed, host: nodeHost, crc32, ...options });
}
