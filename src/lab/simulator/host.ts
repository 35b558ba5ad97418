/** The world of a scenario in this process: promise jobs drained by tasks of Node, checksums by zlib. */
import { crc32 } from 'node:zlib';
import { type SimHost, type TraceLine, taskHost } from '../../platform/sim/kernel.ts';
import { SimWorld, type SimWorldOptions } from '../../platform/sim/world.ts';

const nodeHost: SimHost = taskHost(setImmediate, globalThis);

export interface WorldOptions extends Omit<SimWorldOptions, 'host' | 'crc32'> {
  /** Told of each event of the kernel: for finding where two runs part. */
  readonly trace?: ((line: TraceLine) => void) | undefined;
}

export function makeWorld({ trace, ...options }: WorldOptions): SimWorld {
  const host = trace === undefined ? nodeHost : { ...nodeHost, trace };
  return new SimWorld({ ...options, host, crc32 });
}
